// Cases that run in one process of the platform, which prints a line a run.
import { findProgram, runChild } from "../support/child.ts";
import { type Context, wrongEnd } from "./case.ts";

/** Runs a worker script to its end and yields what its lines say: "ok", or "wrong:" and what was. */
export async function* linesOf(
  { platform, planned, seed, directory }: Context,
  script: string,
  name: string,
  timeout = 3_600_000,
): AsyncGenerator<string | undefined> {
  const program = findProgram(platform);
  if (!program) throw new Error(`${platform} is not on PATH`);
  const flags = platform === "deno" ? ["run", "-A", "--v8-flags=--expose-gc"] : [];
  const outcome = await runChild(program, [...flags, script, name, `${planned}`, `${seed}`, directory], { timeout });
  for (const line of outcome.stdout.split("\n")) {
    if (line === "ok") yield undefined;
    else if (line.startsWith("wrong: ")) yield line.slice("wrong: ".length);
    else if (line !== "") console.log(`  ${name} on ${platform}: ${line}`);
  }
  const wrong = wrongEnd(outcome);
  if (wrong) throw new Error(wrong);
}
