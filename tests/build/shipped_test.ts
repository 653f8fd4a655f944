import { mkdirSync, readdirSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { findPrebuilt } from "../../build/prebuilt.ts";
import { linkBeside } from "../../build/shipped.ts";
import { inDirectory } from "../support/checkpoint.ts";

const MACHINE = { platform: "linux", arch: "x64" };

test("linkBeside() links a llama.cpp's files by the shim's names, in place of another's, and takes them away again", {
  skip: process.platform === "win32" ? "there is no shim for Windows" : false,
}, async () => {
  await inDirectory(async (directory) => {
    const having = (name: string, ...files: string[]): string => {
      mkdirSync(join(directory, name));
      for (const file of files) writeFileSync(join(directory, name, file), "");
      return join(directory, name);
    };
    const gpu = having(
      "gpu",
      "libllama.cuda.v1.so",
      "libggml.cuda.v1.so",
      "libggml-base.so",
      "libggml-cuda.so",
      "libggml-cpu-x64.so",
    );
    const cpu = having("cpu", "libllama.so", "libggml.so", "libggml-base.so", "libggml-cpu.so");
    const library = join(directory, "out", "libllamasaur.so");
    const links = (): Record<string, string> =>
      Object.fromEntries(
        readdirSync(join(directory, "out")).filter((name) => name !== "libllamasaur.so")
          .map((name) => [name, readlinkSync(join(directory, "out", name))]),
      );
    await linkBeside(library, await findPrebuilt(gpu, MACHINE));
    writeFileSync(library, "");
    assertEquals(links(), {
      "libggml-base.so": join(gpu, "libggml-base.so"),
      "libggml-cpu-x64.so": join(gpu, "libggml-cpu-x64.so"),
      "libggml-cuda.so": join(gpu, "libggml-cuda.so"),
      "libggml.so": join(gpu, "libggml.cuda.v1.so"),
      "libllama.so": join(gpu, "libllama.cuda.v1.so"),
    });
    await linkBeside(library, await findPrebuilt(cpu, MACHINE));
    assertEquals(Object.keys(links()).sort(), ["libggml-base.so", "libggml-cpu.so", "libggml.so", "libllama.so"]);
    await linkBeside(library, undefined);
    assertEquals(readdirSync(join(directory, "out")), ["libllamasaur.so"]);
  });
});
