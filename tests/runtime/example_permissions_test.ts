// The example with a real `deno`: the ffi permission is enough, and nothing is ever asked.
import { test } from "node:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { libraryFileName, targetName } from "../../ffi/host/paths.ts";
import { findProgram, type Outcome, ROOT, runChild } from "../support/child.ts";

const LIBRARY = join(ROOT, "lib", targetName(), libraryFileName());
const EXAMPLE = join("examples", "reranker.ts");
const MODEL = join("models", "all-minilm-l6-v2-q8_0.gguf");
const [deno, bun, script] = ["deno", "bun", "script"].map(findProgram);
const noModel = !existsSync(join(ROOT, MODEL));
const skip = noModel || !deno;

function runDeno(...flags: string[]): Promise<Outcome> {
  return runChild(deno!, ["run", "--no-prompt", ...flags, EXAMPLE, MODEL]);
}

/** The scores that the example prints, by document. */
function scores({ code, signal, stdout, stderr }: Pick<Outcome, "code" | "signal" | "stdout" | "stderr">) {
  assertEquals([code, signal], [0, null], stdout + stderr);
  assertStringIncludes(stdout, "query: safe systems programming language");
  const lines = [...stdout.matchAll(/^ (\d)\. score=(-?\d\.\d{4}) document=(.*?)\r?$/gm)];
  assertEquals(lines.map(([, place]) => place), ["1", "2", "3"], stdout);
  assertStringIncludes(lines[0]![3]!, "Rust");
  return new Map(lines.map(([, , score, document]) => [document!, Number(score)]));
}

test("examples/reranker.ts runs with --allow-ffi alone, silently", { skip }, async () => {
  const outcome = await runDeno("--allow-ffi");
  scores(outcome);
  assertEquals(outcome.stderr, "");
});

test("examples/reranker.ts runs with --allow-ffi of the library's path alone", { skip }, async () => {
  scores(await runDeno(`--allow-ffi=${LIBRARY}`));
  scores(await runDeno(`--allow-ffi=${join(ROOT, "lib")}`));
});

test("examples/reranker.ts runs the same when env and read are denied, or everything else is", { skip }, async () => {
  const denied = ["env", "read", "write", "net", "run", "sys"].map((name) => `--deny-${name}`);
  const plain = scores(await runDeno("--allow-ffi"));
  assertEquals(scores(await runDeno("--allow-ffi", "--deny-env", "--deny-read")), plain);
  assertEquals(scores(await runDeno("--allow-ffi", ...denied)), plain);
});

test("examples/reranker.ts does not look at LLAMASAUR_LIBRARY without the permission, and does with it", {
  skip,
}, async () => {
  const run = (...flags: string[]) =>
    runChild(deno!, ["run", "--no-prompt", ...flags, EXAMPLE, MODEL], { env: { LLAMASAUR_LIBRARY: LIBRARY } });
  scores(await run("--allow-ffi"));
  scores(await run(`--allow-ffi=${LIBRARY}`, "--allow-env=LLAMASAUR_LIBRARY"));
});

test("examples/reranker.ts without the permission, or with that of another path, is a NotCapable error", {
  skip,
}, async () => {
  for (const flags of [[], ["--allow-read", "--allow-env"], ["--allow-ffi=/nowhere"], ["-A", "--deny-ffi"]]) {
    const { code, stdout, stderr } = await runDeno(...flags);
    assertEquals([code, stdout], [1, ""], stderr);
    assertMatch(
      stderr,
      /NotCapable: Requires ffi access to "[^"]*libllamasaur|NotCapable: Requires ffi access to "[^"]*llamasaur\.dll/,
    );
    assert(stderr.includes("--allow-ffi") || flags.includes("--deny-ffi"), stderr);
  }
});

test("examples/reranker.ts asks nothing on a terminal", {
  skip: skip || !script || process.platform !== "linux",
}, async () => {
  const onTerminal = (flags: string, onOutput?: (pid: number) => void) =>
    runChild(script!, ["-qec", `deno run ${flags} ${EXAMPLE} ${MODEL}`, "/dev/null"], onOutput && { onOutput });
  const asked = await onTerminal("--deny-net", (pid) => process.kill(pid)); // that a question would be seen
  assertMatch(asked.stdout, /Deno requests/);
  for (const flags of ["--allow-ffi", `--allow-ffi=${LIBRARY}`]) {
    const outcome = await onTerminal(flags);
    scores(outcome);
    assert(!/Deno requests|Allow\?|permission|\[y\/n/i.test(outcome.stdout), outcome.stdout);
  }
});

test("examples/reranker.ts gives the same scores on Deno and Bun, to 1e-4", { skip: skip || !bun }, async () => {
  const ours = scores(await runDeno("--allow-ffi"));
  const theirs = scores(await runChild(bun!, [EXAMPLE, MODEL]));
  assertEquals([...theirs.keys()], [...ours.keys()]);
  const largest = Math.max(...Array.from(ours, ([document, score]) => Math.abs(score - theirs.get(document)!)));
  assert(largest <= 1.0001e-4, `the scores differ by up to ${largest}`);
});
