import { test } from "node:test";
import { assertEquals, assertStringIncludes } from "@std/assert";
import { parseCommandLine } from "../../../build/cli.ts";
import { verb } from "../../../cli/verbs/build.ts";
import { runProgram } from "../../support/program.ts";
import { runHere } from "../../support/run_here.ts";

test("llamasaur build passes its flags on, and --dry-run prints commands alone", async () => {
  const { code, stdout, stderr } = await runProgram(["build", "--portable", "--jobs", "3", "--dry-run"]);
  assertEquals([code, stderr], [0, ""]);
  for (const word of ["-DGGML_NATIVE=OFF", "--parallel 3", "\ncp "]) assertStringIncludes(stdout, word);
  const { path, built, commands } = JSON.parse((await runHere(["build", "--dry-run", "--json"])).stdout);
  assertEquals([built, commands.some((line: string) => line.startsWith("cp ") && line.includes(path))], [false, true]);
});

test("llamasaur build has the flags of the build's own command line", () => {
  for (const { flags } of verb.options) {
    const [name = "", value] = flags.split(" ");
    assertEquals(parseCommandLine(value ? [name, value === "<count>" ? "1" : "dir"] : [name]) === undefined, false);
  }
});

test("llamasaur build of two backends, of none and with a wrong number is exit code 2", async () => {
  for (
    const [words, told] of [
      [["--cpu", "--vulkan"], "take one"],
      [["--opencl"], "unknown option '--opencl'"],
      [["--jobs", "0"], "--jobs"],
    ] as const
  ) {
    const { code, stdout, stderr } = await runHere(["build", ...words, "--dry-run"]);
    assertEquals([code, stdout], [2, ""], stderr);
    assertStringIncludes(stderr, told);
  }
});
