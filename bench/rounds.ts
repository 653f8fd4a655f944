/** Contenders in turns: all warm side by side, each round beginning with another one, until the time is up. */
import { type Bench, rowsOf, sampleOf, say, startContender } from "./bench.ts";
import type { Contender } from "./contender.ts";
import type { Candidate, Peer } from "./peer.ts";
import { type Accuracy, accuracyOf, type Cell, type Measured, type Turn, type WorkloadResult } from "./results.ts";
import { best, search } from "./search.ts";
import { median } from "./statistics.ts";
import { CALLS, type Content, type Workload } from "./workloads.ts";

const COMPARED = 400; // more texts are compared with the truth by a sample
const REFERENCE = "ceiling";
const PATIENCE = 4; // so many times the budget may one turn take

/** What this run has searched, by workload/contender: one workload's search may hold for another. */
const searched = new Map<string, readonly Cell[]>();

/** Whose turn it is in a round, in this order: each once, and again while it has time left. */
export function turnsOf(round: number, spent: readonly number[], budget: number): number[] {
  const all = spent.map((_, i) => (round + i) % spent.length);
  return all.filter((i) => round === 0 || spent[i]! < budget);
}

interface Entry {
  readonly name: string;
  readonly peer: Peer;
  readonly cells: readonly Cell[];
  readonly candidate?: Candidate;
  contender?: Contender;
  readonly turns: (Turn | undefined)[];
  accuracy?: Accuracy;
  peakBytes?: number;
  error?: string;
}

/** The truth, and who says it. */
interface Truth {
  readonly by: string;
  readonly rows: Float32Array;
}

/**
 * Searches every contender's best setting, then measures them in turns.
 *
 * @param truths Who may say what is right, the best first.
 * @param reasons Why some contenders cannot take part, by name.
 */
export async function measure(
  bench: Bench,
  workload: Workload,
  content: Content,
  tokens: number,
  peers: readonly Peer[],
  truths: readonly Peer[],
  reasons: ReadonlyMap<string, string>,
): Promise<WorkloadResult> {
  const compared = content.texts.length <= COMPARED ? content.texts : sampleOf(content.texts, workload.sample);
  const truth = await truthOf(bench, workload, { ...content, texts: compared }, truths);
  const few = sampleOf(compared, workload.sample);
  const width = truth ? truth.rows.length / compared.length : 0;
  const fewRows = truth && Float32Array.from(few.flatMap((text) => {
    const i = compared.indexOf(text);
    return [...truth.rows.subarray(i * width, (i + 1) * width)];
  }));
  const entries: Entry[] = [];
  for (const peer of peers) {
    if (peer.candidates(workload.name, bench.cores).length === 0) continue;
    const reason = reasons.get(peer.name);
    if (reason !== undefined) {
      entries.push({ name: peer.name, peer, cells: [], turns: [], error: reason });
      continue;
    }
    const cells = searched.get(`${workload.like}/${peer.name}`) ??
      await search(bench, asSet(peer, entries), workload, { content: { ...content, texts: few }, truth: fewRows });
    searched.set(`${workload.name}/${peer.name}`, cells);
    const candidate = best(cells, workload.floor);
    const error = candidate ? undefined : cells[0]!.error ?? "no candidate ran";
    entries.push({
      ...{ name: peer.name, peer, cells, turns: [] },
      ...(candidate && { candidate }),
      ...(error !== undefined && { error }),
    });
  }
  try {
    for (const entry of entries) await attempt(entry, () => start(bench, workload, content, entry));
    await takeTurns(bench, workload, entries);
    for (const entry of entries) await attempt(entry, () => finish(bench, workload, content, truth, compared, entry));
  } finally {
    for (const { contender } of entries) await contender?.stop();
  }
  return {
    ...{ name: workload.name, title: workload.title, reference: REFERENCE, latency: workload.ask === "one", tokens },
    ...(truth && { truth: truth.by }),
    contenders: entries.map((entry): Measured => ({
      ...{ name: entry.name, texts: content.texts.length, search: entry.cells, turns: entry.turns },
      ...(entry.candidate && { candidate: entry.candidate }),
      ...(entry.contender && { ready: entry.contender.ready }),
      ...(entry.accuracy && { accuracy: entry.accuracy }),
      ...(entry.peakBytes !== undefined && { peakBytes: entry.peakBytes }),
      ...(entry.error !== undefined && { error: entry.error }),
    })),
  };
}

/** A contender with one candidate only, where another's setting is to be taken. */
function asSet(peer: Peer, entries: readonly Entry[]): Peer {
  const candidate = entries.find(({ name }) => name === peer.set)?.candidate;
  return candidate ? { ...peer, candidates: () => [candidate] } : peer;
}

/** What goes wrong with one contender is its row, and stops no other. */
async function attempt(entry: Entry, work: () => Promise<void>): Promise<void> {
  if (entry.error !== undefined) return;
  try {
    await work();
  } catch (error) {
    entry.error = (error as Error).message;
    entry.contender?.kill();
    say(`    ${entry.name}: ${entry.error}`);
  }
}

/** Warms it up, with a whole call where that costs little. */
async function start(bench: Bench, workload: Workload, content: Content, entry: Entry): Promise<void> {
  const tried = Math.min(...entry.cells.find(({ candidate }) => candidate === entry.candidate)!.seconds);
  const scale = workload.ask === "go" ? content.texts.length / Math.min(content.texts.length, workload.sample) : 1;
  const expected = tried * scale;
  if (expected > bench.budget * (workload.patience ?? PATIENCE)) {
    throw new Error(`left out: a turn would take ${expected.toFixed(0)} s`);
  }
  entry.contender = await startContender(bench, entry.peer, workload.name, entry.candidate!, content);
  if (expected < bench.budget / 4) await turn(bench, workload, entry);
}

async function turn(bench: Bench, workload: Workload, { contender }: Entry): Promise<Turn> {
  const limit = bench.budget * (workload.patience ?? PATIENCE) * 2;
  if (workload.ask === "go") return await contender!.measure("go", limit);
  const latencies = (await contender!.ask(`one ${CALLS[bench.size]}`, limit))["seconds"] as number[];
  return { seconds: median(latencies), latencies };
}

async function takeTurns(bench: Bench, workload: Workload, entries: readonly Entry[]): Promise<void> {
  const spent = entries.map(() => 0);
  for (let round = 0; round < bench.rounds; round++) {
    const order = turnsOf(round, spent, bench.budget).filter((i) => entries[i]!.error === undefined);
    if (order.every((i) => entries[i]!.name === REFERENCE)) return;
    for (const entry of entries) entry.turns.push(undefined);
    for (const i of order) {
      const entry = entries[i]!;
      await attempt(entry, async () => {
        const one = await turn(bench, workload, entry);
        entry.turns[round] = one;
        // the reference goes on while others do: without it a round has no ratio
        if (entry.name !== REFERENCE) spent[i]! += one.latencies?.reduce((sum, s) => sum + s, 0) ?? one.seconds;
      });
    }
    const shown = entries.flatMap(({ name, turns: { [round]: one } }) => one ? [`${name} ${timesOf(one)}`] : []);
    say(`  round ${round + 1}: ${shown.join(", ")}`);
  }
}

function timesOf({ seconds, latencies }: Turn): string {
  return latencies ? `${(seconds * 1000).toFixed(2)} ms` : `${seconds.toFixed(2)} s`;
}

/** Memory, and how near the vectors are. */
async function finish(
  bench: Bench,
  workload: Workload,
  content: Content,
  truth: Truth | undefined,
  compared: readonly string[],
  entry: Entry,
): Promise<void> {
  entry.peakBytes = entry.contender!.peakBytes();
  if (!truth) return;
  const found = entry.cells.find(({ candidate }) => candidate === entry.candidate)!.accuracy;
  if (compared.length < content.texts.length) {
    if (found) entry.accuracy = found; // the search's: a pass over all texts would cost as much as a turn
    return;
  }
  const rows = await rowsOf(bench, entry.contender!, bench.budget * (workload.patience ?? PATIENCE) * 2);
  entry.accuracy = accuracyOf(content.kind, truth.rows, rows, compared.length);
}

/** The vectors or scores to compare with, by the first that can give them. */
async function truthOf(
  bench: Bench,
  workload: Workload,
  content: Content,
  truths: readonly Peer[],
): Promise<Truth | undefined> {
  for (const peer of truths) {
    const candidates = peer.candidates(workload.name, bench.cores);
    const exact = candidates.find(({ type }) => type === "fp32" || type === "f32");
    const candidate = workload.floor === undefined ? candidates[0] : exact;
    if (!candidate) continue;
    let contender: Contender | undefined;
    try {
      contender = await startContender(bench, peer, workload.name, candidate, content);
      const rows = await rowsOf(bench, contender, bench.budget * (workload.patience ?? PATIENCE) * 5);
      say(`  compared with ${peer.name}, ${candidate.name}`);
      return { by: `${peer.name}, ${candidate.name}`, rows };
    } catch (error) {
      say(`  ${peer.name} cannot be compared with: ${(error as Error).message}`);
      contender?.kill();
    } finally {
      await contender?.stop();
    }
  }
  return undefined;
}
