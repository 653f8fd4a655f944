// Whether as many contexts of one thread as there are cores is the best choice: `deno task bench:lanes [options]`
//   --models LIST   GGUF files, or types of all-MiniLM-L6-v2 in models/ (default: q8_0,bf16,f32)
//   --rounds N      of all combinations, in turns (default: 9)
//   --texts N       paragraphs of one call (default: 200)
//   --smoke         one model, few texts and rounds
// Runs contexts × threads with everything else as it is for users, and the rule's choice among them: paragraphs in one
// call, one passage of 512 tokens alone, one short query alone. By the clock, since that is what lanes are for: run it
// on a quiet machine.
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { packageRoot } from "../../ffi/host/paths.ts";
import { cores, open } from "../../ffi/mod.ts";
import { Llama } from "../../mod.ts";
import { describeMachine } from "../machine.ts";
import { paragraphs } from "../paragraphs.ts";
import { machineLine } from "../report.ts";
import { median } from "../statistics.ts";

const TOLERANCE = 1.03;
const PASSAGE = 512; // tokens
const QUERY = "how do I load a model";
const REPEATS = { paragraphs: 1, passage: 3, query: 30 };

type Work = keyof typeof REPEATS;
const WORKS: readonly Work[] = ["paragraphs", "passage", "query"];

/** A model loaded with so many contexts and threads, and what its calls took by kind. */
interface Combination {
  readonly name: string;
  readonly llama: Llama;
  readonly times: Record<Work, number[]>;
}

/** Contexts × threads that use up to all cores, and one context more. */
function combinations(count: number): [contexts: number, threads: number][] {
  const within = Array.from({ length: count }, (_, i) => i + 1)
    .flatMap((threads): [number, number][] => [[Math.floor(count / threads), threads], [1, threads]]);
  // More threads than cores in one context take seconds, since ggml's wait for each other by spinning.
  const all: [number, number][] = [...within, [count + 1, 1]];
  return all.filter(([c, t], i) => all.findIndex(([contexts, threads]) => contexts === c && threads === t) === i);
}

async function measure(path: string, texts: readonly string[], rounds: number): Promise<Combination[]> {
  const all: Combination[] = [];
  for (const [contexts, threads] of combinations(cores(await open()))) {
    const llama = await Llama.load(path, { contexts, threads, contextSize: PASSAGE });
    all.push({ name: `${contexts} × ${threads}`, llama, times: { paragraphs: [], passage: [], query: [] } });
  }
  const long = texts.join(" ").slice(0, 8 * PASSAGE); // more than its tokens, but not so much that tokenising counts
  const inputs: Record<Work, readonly string[]> = { paragraphs: texts, passage: [long], query: [QUERY] };
  for (let round = 0; round <= rounds; round++) { // the first one warms
    for (const work of WORKS) {
      for (let turn = 0; turn < all.length; turn++) {
        const { llama, times } = all[(round + turn) % all.length]!;
        const start = performance.now();
        for (let i = 0; i < REPEATS[work]; i++) await llama.embed(inputs[work]);
        if (round > 0) times[work].push((performance.now() - start) / 1000 / REPEATS[work]);
      }
    }
    process.stderr.write(`  round ${round} of ${rounds}\n`);
  }
  for (const { llama } of all) await llama.close();
  return all;
}

/** The table of a model, and a line for each kind of work on whether the rule's choice is the best. */
function tell(model: string, all: readonly Combination[], rule: string): void {
  console.log(`\n## ${model}\n\n| contexts × threads | ${WORKS.map((work) => `${work}, ms`).join(" | ")} |`);
  console.log(`| --- |${" ---: |".repeat(WORKS.length)}`);
  const chosen = all.find(({ name }) => name === rule)!;
  for (const { name, times } of all) {
    const cells = WORKS.map((work) =>
      `${(median(times[work]) * 1000).toFixed(2)} (${ratio(times[work], chosen.times[work]).toFixed(2)})`
    );
    console.log(`| ${name}${name === rule ? ", the rule's" : ""} | ${cells.join(" | ")} |`);
  }
  console.log("");
  for (const work of WORKS) {
    const [best] = all.toSorted((a, b) =>
      ratio(a.times[work], chosen.times[work]) - ratio(b.times[work], chosen.times[work])
    );
    const behind = 1 / ratio(best!.times[work], chosen.times[work]);
    const words = behind <= TOLERANCE ? "within 3 % of the best" : `${behind.toFixed(2)} × the time of ${best!.name}`;
    console.log(`${work}: ${rule} is ${words}.`);
  }
}

/** The median of the rounds' ratios. */
function ratio(times: readonly number[], to: readonly number[]): number {
  return median(times.map((time, round) => time / to[round]!));
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      models: { type: "string" },
      rounds: { type: "string" },
      texts: { type: "string" },
      smoke: { type: "boolean", default: false },
    },
  });
  const { smoke } = values;
  const models = (values.models ?? (smoke ? "q8_0" : "q8_0,bf16,f32")).split(",");
  const rounds = Number(values.rounds ?? (smoke ? 2 : 9));
  const texts = await paragraphs(Number(values.texts ?? (smoke ? 20 : 200)));
  console.log(machineLine(describeMachine()));
  const rule = `${cores(await open())} × 1`;
  for (const name of models) {
    const path = name.endsWith(".gguf")
      ? name
      : join(fileURLToPath(packageRoot()), "models", `all-minilm-l6-v2-${name}.gguf`);
    tell(name, await measure(path, texts, rounds), rule);
  }
}

if (import.meta.main) await main();
