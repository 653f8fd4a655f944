/** Two models at once, and single queries during bulk work; us alone, in one process. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Bench, say } from "./bench.ts";
import { Contender } from "./contender.ts";
import { modelFor } from "./models.ts";
import { RUNTIMES, script } from "./ours_peer.ts";
import type { Job } from "./peer.ts";
import type { Measured, Turn, WorkloadResult } from "./results.ts";
import { median } from "./statistics.ts";
import { LONGEST, mixedParagraphs, withCount } from "./texts.ts";

const TEXTS = { smoke: 60, full: 300 } as const;
const CALLS = { smoke: 30, full: 100 } as const;
const MODELS = ["bf16", "q8_0"] as const;
const QUERY = "How do I run a quantised model on the CPU?";

/** Two models embedding at once, against one after the other. */
export async function measureTwo(bench: Bench, names: ReadonlySet<string>): Promise<WorkloadResult> {
  const both = ["apart", "together"];
  const contenders = await inTurns(
    bench,
    names,
    both,
    2 * TEXTS[bench.size],
    (contender, command) => contender.measure(command),
  );
  const title = `Two models in one process, MiniLM ${MODELS.join(" and ")}, mixed paragraphs`;
  return { name: "two", title, reference: "", latency: false, contenders };
}

/** One query's latency, on an idle model and on one that is busy. */
export async function measureMixed(bench: Bench, names: ReadonlySet<string>): Promise<WorkloadResult> {
  const contenders = await inTurns(bench, names, ["idle", "bulk"], 1, async (contender, command): Promise<Turn> => {
    const latencies = (await contender.ask(`${command} ${CALLS[bench.size]}`))["seconds"] as number[];
    return { seconds: median(latencies), latencies };
  });
  const title = `One query during bulk work, MiniLM ${MODELS[0]}, mixed paragraphs`;
  return { name: "mixed", title, reference: "", latency: true, contenders };
}

async function inTurns(
  bench: Bench,
  names: ReadonlySet<string>,
  commands: readonly string[],
  texts: number,
  turn: (contender: Contender, command: string) => Promise<Turn>,
): Promise<Measured[]> {
  const measured: Measured[] = [];
  const path = join(bench.scratch, "together.json");
  writeFileSync(path, JSON.stringify(await jobOf(bench)));
  for (const { name, command } of RUNTIMES) {
    if (!names.has(name)) continue;
    const contender = await Contender.start(name, [...command, script("ours_together.ts"), path]);
    try {
      const turns = commands.map((): Turn[] => []);
      for (let round = 0; round < bench.rounds; round++) {
        for (let i = 0; i < commands.length; i++) {
          const one = (round + i) % commands.length;
          turns[one]!.push(await turn(contender, commands[one]!));
        }
      }
      const peakBytes = contender.peakBytes();
      for (const [i, word] of commands.entries()) {
        say(`  ${name}, ${word}: ${turns[i]!.map(({ seconds }) => seconds.toFixed(3)).join(" ")} s`);
        const reference = `${name}, ${commands[0]}`;
        measured.push({ name: `${name}, ${word}`, texts, search: [], turns: turns[i]!, peakBytes, reference });
      }
    } finally {
      await contender.stop();
    }
  }
  return measured;
}

async function jobOf(bench: Bench): Promise<Job> {
  const texts = await withCount((count) => mixedParagraphs(TEXTS[bench.size], count));
  const [model, second] = await Promise.all(MODELS.map((type) => modelFor(type, "two")));
  return {
    ...{ kind: "embed", model: model!, type: MODELS[0], cores: bench.cores, maxTokens: LONGEST, texts, query: QUERY },
    settings: { second: second! },
  };
}
