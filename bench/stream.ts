/** Whether cost grows linearly and memory not at all: a stream of titles in three lengths, each in a process of its own. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Bench, say, startContender } from "./bench.ts";
import { CEILING } from "./ceiling_peer.ts";
import type { Contender } from "./contender.ts";
import { OURS } from "./ours_peer.ts";
import type { Candidate, Peer } from "./peer.ts";
import type { Measured, Turn, WorkloadResult } from "./results.ts";
import { LONGEST, titles, withCount } from "./texts.ts";

/** Texts of the three streams. */
export const LENGTHS = { smoke: [100, 1000, 10_000], full: [1000, 10_000, 100_000] } as const;

const ROUNDS = 3; // of the two shorter streams; the long one runs once, in the first
const TYPE = "bf16";

/** Measures every length with us, vectors dropped, and with the ceiling, which holds them all. */
export async function measureStream(bench: Bench, names: ReadonlySet<string>): Promise<WorkloadResult> {
  const lengths = LENGTHS[bench.size];
  const all = await withCount((count) => titles(lengths.at(-1)!, count));
  const contenders: Measured[] = [];
  for (const peer of [...OURS, CEILING]) {
    if (names.has(peer.name) && peer.kinds.includes("embed")) {
      contenders.push(...await measureOne(bench, peer, lengths, all));
    }
  }
  const title = `A stream of titles, MiniLM ${TYPE}, vectors dropped`;
  return { name: "stream", title, reference: "", latency: false, contenders };
}

async function measureOne(
  bench: Bench,
  peer: Peer,
  lengths: readonly number[],
  all: readonly string[],
): Promise<Measured[]> {
  const measured: Measured[] = [];
  const started: { length: number; contender: Contender; turns: Turn[] }[] = [];
  try {
    for (const length of lengths) {
      const contender = await startOne(bench, peer, all.slice(0, length));
      started.push({ length, contender, turns: [] });
    }
    for (const { length, contender } of started) {
      if (length < lengths.at(-1)!) await contender.measure("go", 3600); // warm
    }
    for (let round = 0; round < ROUNDS; round++) {
      for (const { length, contender, turns } of started) {
        if (round === 0 || length < lengths.at(-1)!) turns.push(await contender.measure("go", 3600));
      }
    }
    for (const { length, contender, turns } of started) {
      const name = `${peer.name}, ${length}`;
      const peakBytes = contender.peakBytes();
      say(`  ${name}: ${turns.map(({ seconds }) => (1e6 * seconds / length).toFixed(0)).join(" ")} µs a text`);
      const reference = `${peer.name}, ${lengths[0]}`;
      measured.push({ name, texts: length, search: [], ready: contender.ready, turns, peakBytes, reference });
    }
  } finally {
    for (const { contender } of started) await contender.stop();
  }
  return measured;
}

/** Us with a file to read from, so that the texts are not in memory either. */
async function startOne(bench: Bench, peer: Peer, texts: readonly string[]): Promise<Contender> {
  const content = { kind: "embed", maxTokens: LONGEST } as const;
  if (peer === CEILING) {
    const settings = { packs: 256, lanes: bench.cores, threads: 1, flash: 1 };
    return await startContender(bench, peer, "stream", candidate(settings), { ...content, texts });
  }
  const stream = join(bench.scratch, `stream-${texts.length}`);
  writeFileSync(stream, `${texts.join("\n")}\n`);
  return await startContender(bench, peer, "stream", candidate({ stream }), { ...content, texts: [] });
}

function candidate(settings: Candidate["settings"]): Candidate {
  return { name: TYPE, type: TYPE, settings };
}
