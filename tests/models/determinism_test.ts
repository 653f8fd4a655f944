// The same input and the same plan give the same bits: again, on more lanes, in another process, on the other runtime.
// How far vectors may differ where the plan does: docs/accuracy.md.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { fixture } from "../support/checkpoint.ts";
import { findProgram, ROOT, runChild } from "../support/child.ts";
import { hashOfVectors } from "./determinism_worker.ts";

const WORKER = join(ROOT, "tests", "models", "determinism_worker.ts");
const MODEL = fixture("../../models/all-minilm-l6-v2-q8_0.gguf");
const skip = !existsSync(MODEL);

let first: Promise<string> | undefined;

/** The hash that all others are compared with. */
function expected(): Promise<string> {
  return first ??= hashOfVectors(MODEL, 1);
}

test("Llama.embed() gives the same bits again, and on any number of lanes", { skip }, async () => {
  for (const contexts of [1, 2, 3]) assertEquals(await hashOfVectors(MODEL, contexts), await expected(), `${contexts}`);
});

for (const [runtime, args] of [["deno", ["run", "-A"]], ["bun", []]] as const) {
  const program = findProgram(runtime);
  const missing = skip || program === undefined;
  test(`Llama.embed() gives the same bits in another process, of ${runtime}`, { skip: missing }, async () => {
    const { code, stdout, stderr } = await runChild(program!, [...args, WORKER, MODEL, "2"], { timeout: 120_000 });
    assertEquals([code, stdout.trim()], [0, await expected()], stderr);
  });
}
