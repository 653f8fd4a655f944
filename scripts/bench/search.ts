/** A contender's own best setting: every candidate runs once on a sample, the fastest that is near enough wins. */
import { accuracyLine, type Bench, rowsOf, say, startContender } from "./bench.ts";
import type { Contender } from "./contender.ts";
import type { Candidate, Peer } from "./peer.ts";
import { type Accuracy, accuracyOf, type Cell, closeness } from "./results.ts";
import { median } from "./statistics.ts";
import type { Content, Workload } from "./workloads.ts";

/** What a search's candidates are compared with. */
export interface Sample {
  readonly content: Content;
  readonly truth: Float32Array | undefined;
}

const FINALISTS = 3;
const CALLS = 10; // of `one`
const PATIENCE = 4; // a candidate may take so many times as long as the best one before it

/** Runs the candidates; when the time is up, those that are left are said not to have run. */
export async function search(bench: Bench, peer: Peer, workload: Workload, sample: Sample): Promise<Cell[]> {
  const candidates = peer.candidates(workload.name, bench.cores);
  const cells: Cell[] = [];
  const start = performance.now();
  const most = bench.budget * (bench.size === "full" ? 2 : 4);
  for (const candidate of candidates) {
    const spent = (performance.now() - start) / 1000;
    if (spent > most && cells.length > 0) {
      cells.push({ candidate, seconds: [], error: `not run: ${most.toFixed(0)} s are over` });
      continue;
    }
    cells.push(await trial(bench, peer, workload, candidate, sample, limitOf(cells, bench)));
    say(`    ${peer.name}, ${lineOf(cells.at(-1)!)}`);
  }
  if (bench.size === "smoke" || candidates.length === 1) return cells;
  const finalists = qualified(cells, workload.floor).sort(bySeconds).slice(0, FINALISTS);
  for (const cell of finalists) {
    const again = await trial(bench, peer, workload, cell.candidate, { ...sample, truth: undefined }, bench.budget);
    cells[cells.indexOf(cell)] = { ...cell, seconds: [...cell.seconds, ...again.seconds] };
  }
  return cells;
}

/** The fastest candidate among those that are near enough to the truth, or among all if none is. */
export function best(cells: readonly Cell[], floor: number | undefined): Candidate | undefined {
  return qualified(cells, floor).sort(bySeconds)[0]?.candidate;
}

function qualified(cells: readonly Cell[], floor: number | undefined): Cell[] {
  const ran = cells.filter(({ seconds }) => seconds.length > 0);
  const near = ran.filter(({ accuracy }) => floor !== undefined && accuracy && closeness(accuracy) >= floor);
  return near.length > 0 ? near : [...ran];
}

function bySeconds(a: Cell, b: Cell): number {
  return Math.min(...a.seconds) - Math.min(...b.seconds);
}

/** Seconds that the next candidate may take. */
function limitOf(cells: readonly Cell[], { budget }: Bench): number {
  const fastest = Math.min(...cells.flatMap(({ seconds }) => seconds), budget);
  return Math.max(budget / 2, PATIENCE * fastest);
}

async function trial(
  bench: Bench,
  peer: Peer,
  workload: Workload,
  candidate: Candidate,
  { content, truth }: Sample,
  limit: number,
): Promise<Cell> {
  let contender: Contender | undefined;
  try {
    contender = await startContender(bench, peer, workload.name, candidate, content);
    const seconds = await secondsOf(contender, workload.ask, limit);
    let accuracy: Accuracy | undefined;
    if (truth) {
      const rows = await rowsOf(bench, contender, PATIENCE * limit);
      accuracy = accuracyOf(content.kind, truth, rows, content.texts.length);
    }
    return { candidate, seconds: [seconds], ...(accuracy && { accuracy }) };
  } catch (error) {
    contender?.kill();
    return { candidate, seconds: [], error: (error as Error).message };
  } finally {
    await contender?.stop();
  }
}

async function secondsOf(contender: Contender, ask: Workload["ask"], limit: number): Promise<number> {
  if (ask === "go") return (await contender.measure("go", limit)).seconds;
  const { seconds } = await contender.ask(`one ${CALLS}`, limit);
  return median(seconds as number[]);
}

function lineOf({ candidate, seconds, accuracy, error }: Cell): string {
  const found = error ?? `${seconds.map((s) => s.toFixed(3)).join(" ")} s`;
  return `${candidate.name}: ${found}${accuracy ? `, ${accuracyLine(accuracy)}` : ""}`;
}
