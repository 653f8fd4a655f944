import { test } from "node:test";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { convert } from "../../convert.ts";
import { LlamaError } from "../../ffi/errors.ts";
import { openFile, replaceFile, withTemporary, writing } from "../../src/files.ts";
import { copyCheckpoint, fixture, inDirectory } from "../support/checkpoint.ts";
import { canLink } from "../support/lend.ts";

const posix = process.platform !== "win32";

test("openFile() refuses at once what is no file, and says what it is", { skip: !posix }, async () => {
  await inDirectory(async (directory) => {
    const [pipe, circle, file] = ["pipe", "circle", "file"].map((name) => join(directory, name)) as [
      string,
      string,
      string,
    ];
    execFileSync("mkfifo", [pipe]);
    symlinkSync("circle", circle);
    writeFileSync(file, "");
    for (
      const [path, told] of [
        [pipe, "it is a pipe or a device"],
        ["/dev/zero", "it is a pipe or a device"],
        [directory, "it is a directory"],
        [circle, "its links lead in a circle"],
        [join(directory, "x".repeat(300)), "its name is longer than the system allows"],
      ] as const
    ) {
      const error = await assertRejects(() => openFile(path), LlamaError, told);
      assertEquals(error.code, "model-invalid");
      assertStringIncludes(error.message, `Cannot read ${path.slice(0, 100)}`);
    }
    assertEquals((await openFile(join(directory, "none")).catch((error) => error)).code, "ENOENT");
    assertEquals((await openFile(join(file, "below")).catch((error) => error)).code, "ENOTDIR");
  });
});

test("convert() refuses a pipe or a device in the place of a checkpoint's file, and names it", {
  skip: !posix,
}, async () => {
  for (const name of ["config.json", "tokenizer.json", "model.safetensors"]) {
    for (const device of [true, false]) {
      await inDirectory(async (directory) => {
        const checkpoint = copyCheckpoint("tiny_bert", directory);
        const path = join(checkpoint, name);
        execFileSync("rm", ["-f", path]);
        if (device) symlinkSync("/dev/zero", path);
        else execFileSync("mkfifo", [path]);
        const error = await assertRejects(() => convert(checkpoint, join(directory, "out.gguf")), LlamaError);
        assertStringIncludes(error.message, `Cannot read ${path}: it is a pipe or a device`);
      });
    }
  }
});

test(
  "writing() tells the file and why, also where the disk is full",
  { skip: process.platform !== "linux" },
  async () => {
    const full = await open("/dev/full", "w"); // each write fails with ENOSPC
    try {
      const error = await assertRejects(
        () => writing("/models/a\u001b[31m.gguf", () => full.write(new Uint8Array(8), 0, 8)),
        LlamaError,
        "Cannot write /models/a\\u{1b}[31m.gguf: the disk is full; make room",
      );
      assertEquals((error.cause as { code?: string }).code, "ENOSPC");
    } finally {
      await full.close();
    }
    const reason = new Error("enough");
    assertEquals(await writing("a", () => Promise.reject(reason)).catch((error) => error), reason);
  },
);

test("replaceFile() takes names of 255 bytes, and refuses longer ones before any work", { skip: !posix }, async () => {
  await inDirectory(async (directory) => {
    for (const name of ["x".repeat(255), "ü".repeat(127), "x".repeat(226), `${"x".repeat(179)}ü.gguf`]) {
      const path = join(directory, name);
      await replaceFile(path, (temporary) => writeFile(temporary, name));
      assertEquals(readFileSync(path, "utf8"), name);
    }
    assertEquals(readdirSync(directory).length, 4);
    for (const name of ["x".repeat(256), "ü".repeat(128)]) {
      const written = () => Promise.reject(new Error("it was to be written"));
      const error = await assertRejects(() => replaceFile(join(directory, name), written), LlamaError);
      assertStringIncludes(error.message, "its name is longer than the system allows; shorten it");
    }
    const out = join(directory, "convert".padEnd(250, "_") + ".gguf");
    await convert(fixture("tiny_bert"), out);
    assert(existsSync(out));
  });
});

test("withTemporary() names a file for a temporary one of it so, that both are known as its own", async () => {
  await inDirectory(async (directory) => {
    const out = join(directory, "out.gguf");
    await withTemporary(out, (whole) =>
      replaceFile(whole, async (temporary) => {
        for (const path of [whole, temporary]) assert(OWN.test(path), path);
        writeFileSync(temporary, "");
        assertEquals(
          await replaceFile(join(directory, "other.gguf"), (path) => writeFile(path, "")),
          undefined,
        );
      }));
    assertEquals(readdirSync(directory), ["other.gguf"]);
  });
});

const OWN = new RegExp(`[\\\\/]out\\.gguf\\.${process.pid}-\\d+-[0-9a-f]+-[0-9a-f]{8}\\.incomplete$`);

test("replaceFile() removes what ended processes left of the same file, and nothing of others", async () => {
  await inDirectory(async (directory) => {
    const out = join(directory, "out.gguf");
    let mine = "";
    await withTemporary(out, (path) => Promise.resolve(void (mine = path.slice(directory.length + 1))));
    const [, start, place] = /^out\.gguf\.\d+-(\d+)-([0-9a-f]+)-/.exec(mine)!;
    const other = spawn(process.execPath, ["--version"], { stdio: "ignore" });
    await new Promise((resolve) => other.on("exit", resolve));
    const near = place !== "0"; // else this system does not tell who lives
    const names = {
      [`out.gguf.${other.pid}-7-${place}-01234567.incomplete`]: !near, // it has ended
      [`out.gguf.${process.pid}-7-${place}-01234567.incomplete`]: !near, // its id is another's now
      [`out.gguf.${process.pid}-${start}-${place}-01234567.incomplete`]: true, // it lives
      [`out.gguf.${other.pid}-7-abcdef01-01234567.incomplete`]: true, // another machine's or container's
      [`out.gguf.${other.pid}-7-abcdef02-01234567.incomplete`]: false, // the same, of which nobody wrote for days
      [`other.gguf.${other.pid}-7-${place}-01234567.incomplete`]: true,
      [`out.gguf.incomplete`]: true,
    };
    for (const name of Object.keys(names)) writeFileSync(join(directory, name), "");
    const days = Date.now() / 1000 - 3 * 24 * 3600;
    for (const name of Object.keys(names)) {
      if (name.includes("abcdef02") || name.startsWith("other")) utimesSync(join(directory, name), days, days);
    }
    await replaceFile(out, (temporary) => writeFile(temporary, "whole"));
    const kept = Object.entries(names).filter(([, kept]) => kept).map(([name]) => name);
    assertEquals(readdirSync(directory).sort(), [...kept, "out.gguf"].sort());
  });
});

test(
  "replaceFile() refuses a circle of links and a folder as its target, by a sentence",
  { skip: !canLink },
  async () => {
    await inDirectory(async (directory) => {
      symlinkSync("circle", join(directory, "circle"));
      mkdirSync(join(directory, "folder"));
      const never = () => Promise.reject(new Error("it was to be written"));
      await assertRejects(() => replaceFile(join(directory, "circle"), never), LlamaError, "links lead in a circle");
      await assertRejects(() => replaceFile(join(directory, "folder"), never), LlamaError, "it is a directory");
    });
  },
);

test("writing() has words for what Deno knows no code of", { skip: !posix }, async () => {
  const large = () => Promise.reject(new Error("File too large (os error 27)")); // EFBIG, wherever there is POSIX
  await assertRejects(
    () => writing("a.gguf", large),
    LlamaError,
    "Cannot write a.gguf: the file is larger than the system allows",
  );
});
