// What the two commands of a checkout say where programs are missing, and that README names the same.
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import process from "node:process";
import { after, before, test } from "node:test";
import { assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { findProgram, type Outcome, ROOT, runChild } from "../support/child.ts";

const NEED = join(ROOT, "scripts", "need.sh");
const bash = findProgram("bash");
const skip = process.platform === "win32" || bash === undefined ? "there is no bash, or this is Windows" : false;
if (skip) console.warn(`need_test: nothing is tested, ${skip}`);

/** The tools that scripts/test.sh asks for before it starts. */
const TOOLS = /need\.sh ((?:[a-z+0-9]+ ?)+)$/m.exec(readFileSync(join(ROOT, "scripts", "test.sh"), "utf8"))![1]!.split(
  " ",
);

let directory = "";
before(() => void (directory = mkdtempSync(join(tmpdir(), "llamasaur-need-"))));
after(() => rmSync(directory, { recursive: true, force: true }));

/** Runs need.sh where there are only these programs, which do nothing and fail at nothing. */
async function need(programs: readonly string[], tools: readonly string[]): Promise<Outcome> {
  const folder = join(directory, `with ${programs.join(" ")}`);
  mkdirSync(folder, { recursive: true });
  for (const name of programs) {
    writeFileSync(join(folder, name), "#!/bin/sh\n");
    chmodSync(join(folder, name), 0o755);
  }
  const empty = Object.fromEntries(["CXX", "VSINSTALLDIR", "ProgramFiles"].map((name) => [name, ""]));
  const script = 'PATH="$1"; shift; . "$0"'; // runChild() itself puts folders on PATH
  return await runChild(bash!, ["-c", script, NEED, folder, ...tools], { env: empty });
}

/** The packages of the line that a manager is told. */
function packages({ stderr }: Outcome, manager: string): string[] {
  return new RegExp(`${manager} install (.*)$`, "m").exec(stderr)?.[1]?.split(" ") ?? [];
}

test("need.sh says nothing where everything is there, with ninja or with make", { skip }, async () => {
  for (const one of ["ninja", "make"]) {
    const { code, stdout, stderr } = await need(["git", "c++", "cmake", one, "npm", "python3"], TOOLS);
    assertEquals([code, stdout, stderr], [0, "", ""]);
  }
});

test("need.sh names everything that is missing at once, with one command of the system", { skip }, async () => {
  const outcome = await need(["apt-get"], TOOLS);
  assertEquals([outcome.code, outcome.stdout, outcome.stderr.split("\n").length], [1, "", 3]);
  assertStringIncludes(
    outcome.stderr,
    "error: missing: git, a C++17 compiler, cmake, ninja (or make), npm, python3, pip for python3.",
  );
  assertEquals(packages(outcome, "apt"), ["git", "g++", "cmake", "ninja-build", "npm", "python3", "python3-pip"]);
  assertEquals(packages(await need(["apt-get", "git", "g++", "python3"], TOOLS), "apt"), [
    "cmake",
    "ninja-build",
    "npm",
  ]);
  assertEquals(packages(await need(["dnf", "git", "clang++"], ["git", "c++", "npm"]), "dnf"), ["nodejs-npm"]);
  assertEquals(packages(await need(["brew"], TOOLS), "brew"), ["cmake", "ninja", "node", "python"]);
});

test("need.sh names the command of every system where it knows none", { skip }, async () => {
  const outcome = await need([], ["npm"]);
  assertEquals(["apt", "dnf", "brew"].map((manager) => packages(outcome, manager)), [["npm"], ["nodejs-npm"], [
    "node",
  ]]);
});

test("need.sh refuses a tool that it does not know", { skip }, async () => {
  const { code, stderr } = await need([], ["git", "cmaek"]);
  assertEquals(code, 2);
  assertStringIncludes(stderr, '"cmaek" is unknown');
});

test("README's line of apt names what scripts/test.sh asks for, and nothing else", { skip }, async () => {
  const [, line = ""] = /apt install ([^`#\n]*)/.exec(readFileSync(join(ROOT, "README.md"), "utf8")) ?? [];
  assertEquals(line.trim().split(/\s+/), packages(await need(["apt-get"], TOOLS), "apt"));
});

test("test.sh prints its usage when it is asked, and refuses an argument", { skip }, async () => {
  const run = (word: string) => runChild(bash!, [join(ROOT, "scripts", "test.sh"), word]);
  const help = await run("--help");
  assertEquals([help.code, help.stdout.split("\n")[0]], [0, "Usage: ./scripts/test.sh"]);
  const other = await run("--fast");
  assertEquals([other.code, other.stdout], [2, ""]);
  assertStringIncludes(other.stderr, "Cannot read --fast: test.sh takes no arguments");
});
