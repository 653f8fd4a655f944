import { test } from "node:test";
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "@std/path";
import { VERSION } from "../../cli/version.ts";
import { ROOT } from "../support/child.ts";
import { type Ended, MODEL, noFullDisk, noModel, PROGRAM, runProgram, RUNTIME } from "../support/program.ts";
import { runHere } from "../support/run_here.ts";

function json(path: string): Record<string, Record<string, string>> & { version: string } {
  return JSON.parse(readFileSync(join(ROOT, path), "utf8"));
}

test("llamasaur --help lists the verbs, --version tells the version, and both load nothing else", async () => {
  for (const words of [[], ["--help"], ["-h"], ["help"]]) {
    const { code, stdout, stderr } = await runProgram(words);
    assertEquals([code, stderr], [0, ""]);
    assertMatch(stdout, /^Usage: llamasaur VERB/);
    assertMatch(stdout, /\n {2}embed +\S/);
  }
  assertEquals((await runProgram(["--version"])).stdout, `llamasaur ${VERSION}\n`);
});

test("llamasaur --help says where it cannot be written, and nothing where nobody reads it", {
  skip: noFullDisk,
}, () => {
  const runtime = RUNTIME === "deno" ? "deno run -A" : "bun";
  const shell = (command: string) => spawnSync("sh", ["-c", command], { cwd: ROOT, encoding: "utf8" });
  for (const words of ["--help", "--version", "embed --help"]) {
    const { status, stderr } = shell(`${runtime} cli/main.ts ${words} > /dev/full`);
    assertEquals(status, 1, words);
    assertMatch(stderr, /^error: Cannot write to stdout: .*no space left on device.*\n$/i);
    assertEquals(shell(`${runtime} cli/main.ts ${words} | true`).stderr, "");
  }
});

test("the versions of cli/ are those of the root, and its pins are the same for npm and JSR", () => {
  const [root, npm, jsr] = [json("package.json"), json("cli/package.json"), json("cli/deno.json")];
  assertEquals([npm.version, jsr.version, VERSION], [root.version, root.version, root.version]);
  const { "@llamasaur/llamasaur": library, ...pins } = npm["dependencies"]!;
  assertEquals(library, root.version);
  assertEquals(
    jsr["imports"],
    Object.fromEntries(Object.entries(pins).map(([name, version]) => [name, `npm:${name}@${version}`])),
  );
});

test("llamasaur VERB --help has two examples, also as llamasaur help VERB, VERB -h and --help VERB", async () => {
  const { code, stdout, stderr } = await runProgram(["embed", "--help"]);
  assertEquals([code, stderr], [0, ""]);
  assertEquals(stdout.split("\nExamples:\n")[1]!.trim().split("\n").length, 2);
  for (
    const words of [["help", "embed"], ["embed", "-h"], ["--help", "embed"], ["-h", "embed"], ["help", "embed", "-h"]]
  ) {
    assertEquals((await runProgram(words)).stdout, stdout, words.join(" "));
  }
});

/** Runs as a program what main.ts itself looks at, and one more; what it only hands on to run(), within this process. */
function runs(words: readonly string[]): Promise<Ended> {
  return words[0] === "embd" || words[0] === "--help" ? runProgram(words) : runHere(words);
}

for (
  const [words, told] of [
    [["embd"], 'Cannot run "embd": did you mean embed? the verbs are '],
    [["Rerank"], 'Cannot run "Rerank": did you mean rerank? the verbs are '],
    [["nonsense"], 'Cannot run "nonsense": the verbs are '],
    [["--help", "embd"], 'Cannot run "embd": did you mean embed? the verbs are '],
    [["--model", "x", "embed"], 'Cannot read "--model" before a verb'],
    [["embed", "--nonsense"], `unknown option '--nonsense'; ${PROGRAM} embed --help tells what it takes\n`],
    [["doctor", "x"], `Expected 0 arguments but got 1: x; ${PROGRAM} doctor --help tells what it takes\n`],
    [["embed", "--contexts", "none", "--text", "a"], 'Cannot read --contexts "none": it must be a whole number from 1'],
    [
      ["embed", "--memory-limit", "lots", "--text", "a"],
      'Cannot read --memory-limit "lots": it must be bytes, such as',
    ],
    [
      ["embed", "--text", "a"],
      `give --model, or set LLAMASAUR_MODEL. To get a small one for English:\n\n  ${PROGRAM} pull`,
    ],
  ] as const
) {
  test(`llamasaur ${words.join(" ")} is exit code 2`, async () => {
    const { code, stdout, stderr } = await runs(words);
    assertEquals([code, stdout], [2, ""], stderr);
    assertStringIncludes(stderr, told);
  });
}

test("a model or a library that is not there is exit code 3 with the command that gets it", async () => {
  for (
    const [words, told] of [
      [["--model", "bge-m3"], `\n\n  ${PROGRAM} pull bge-m3\n`],
      [["--model", "hf:a/b/c.gguf"], `\n\n  ${PROGRAM} pull hf:a/b/c.gguf\n`],
      [["--model", "bge-m33"], `\n\n  ${PROGRAM} pull all-minilm-l6-v2\n`],
      [["--model", "none/none.gguf"], `\n\n  ${PROGRAM} pull all-minilm-l6-v2\n`],
      [["--model", "cli"], 'Cannot find model "cli": it is a directory; name a .gguf file in it'],
      [["--model", "deno.json"], 'for the one that is here give "./deno.json"'],
      [["--model", MODEL, "--library", "/none/lib.so"], "Correct the option library, or leave it out"],
    ] as const
  ) {
    const env = { HF_HOME: "/none", LLAMASAUR_MODELS: "/none" };
    // A process has one library; the first one shows that the program ends with the same code.
    const run = words[1] === "bge-m3" || words.length > 2 ? runProgram : runHere;
    const { code, stdout, stderr } = await run(["embed", "--text", "a", ...words], { env });
    assertEquals([code, stdout], [3, ""], stderr);
    assertStringIncludes(stderr, told);
    assertEquals(/await |\(\)|download_models/.exec(stderr)?.[0], undefined); // nothing of TypeScript, and one remedy
  }
});

test("a variable of a switch is read as on or off, and anything else is exit code 2", async () => {
  const words = ["serve", "--embed", "x.gguf", "--print-config"];
  for (const [value, lazy] of [["1", true], ["true", true], ["0", false], ["FALSE", false], ["", false]] as const) {
    const { code, stdout, stderr } = await runHere(words, { env: { LLAMASAUR_LAZY: value } });
    assertEquals([code, JSON.parse(stdout).lazy], [0, lazy], stderr);
  }
  const given = await runHere([...words, "--lazy"], { env: { LLAMASAUR_LAZY: "0", LLAMASAUR_NO_AUTH: "0" } });
  assertEquals([JSON.parse(given.stdout).lazy, JSON.parse(given.stdout).auth], [true, true]);
  const off = await runHere(words, { env: { LLAMASAUR_NO_AUTH: "yes" } });
  assertEquals(JSON.parse(off.stdout).auth, false);
  const { code, stderr } = await runHere(words, { env: { LLAMASAUR_LAZY: "maybe" } });
  assertEquals(code, 2);
  assertStringIncludes(stderr, 'Cannot read LLAMASAUR_LAZY "maybe": it must be 1 or 0');
});

test("a variable that is set to nothing says nothing", { skip: noModel }, async () => {
  const names = ["LIBRARY", "DEVICE", "CONTEXTS", "MEMORY_LIMIT", "MODEL"];
  const env = Object.fromEntries(names.map((name) => [`LLAMASAUR_${name}`, ""]));
  const { code, stderr } = await runHere(["embed", "--text", "a", "--model", MODEL], { env });
  assertEquals(code, 0, stderr);
});

test("LLAMASAUR_MODEL stands for --model", { skip: noModel }, async () => {
  const { code, stderr } = await runHere(["embed", "--text", "a"], { env: { LLAMASAUR_MODEL: MODEL } });
  assertEquals(code, 0, stderr);
});

test("what Deno does not allow is told with the command that allows it, and is never taken for what is not there", {
  skip: !("Deno" in globalThis),
}, async () => {
  const library = ["--allow-read", "--allow-env"];
  for (
    const [allow, words, access] of [
      [[], ["status", "deno.json"], 'read access to "deno.json.job"'],
      [["--allow-env"], ["models"], `read access to "`],
      [[], ["embed", "deno.json", "--input-format", "txt", "--model", MODEL], 'read access to "deno.json"'],
      [
        [],
        ["convert", "tests/fixtures/tiny_bert", "none.gguf"],
        `read access to "${join(ROOT, "tests", "fixtures", "tiny_bert")}"`,
      ],
      [library, ["embed", "--text", "a", "--model", MODEL], "ffi access to "],
    ] as const
  ) {
    const { code, stdout, stderr } = await runProgram(words, { allow: ["--no-prompt", ...allow] });
    assertEquals([code, stdout], [1, ""], stderr);
    assertStringIncludes(stderr, `error: Requires ${access}`);
    assertStringIncludes(stderr, `, or with all that verbs need:\n\n  ${PROGRAM} ${words[0]}`);
  }
});
