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

const FEWEST = 3; // as many types as some have, of the likeliest size
const FINALISTS = 3;
const COMPUTED = 2; // so many times the budget may all candidates compute
const ELAPSED = 5; // and with starting
const CALLS = 10; // of `one`
const PATIENCE = 4; // a candidate may take so many times as long as the best one before it

/**
 * Runs the candidates: at least the first few, and more while there is time; the others are said not to have run. A
 * contender whose first few all fail is given up.
 */
export async function search(bench: Bench, peer: Peer, workload: Workload, sample: Sample): Promise<Cell[]> {
  const candidates = peer.candidates(workload.name, bench.cores);
  const cells: Cell[] = [];
  const start = performance.now();
  for (const candidate of candidates) {
    const over = cells.length < FEWEST ? undefined : reasonToStop(cells, (performance.now() - start) / 1000, bench);
    if (over !== undefined) {
      cells.push({ candidate, seconds: [], error: `not run: ${over}` });
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

/** Starting costs some contenders more than computing: both have their limit. */
function reasonToStop(cells: readonly Cell[], elapsed: number, { budget }: Bench): string | undefined {
  if (cells.every(({ seconds }) => seconds.length === 0)) return "the first ones failed";
  const computed = cells.reduce((sum, { seconds }) => sum + (seconds[0] ?? 0), 0);
  return computed > COMPUTED * budget || elapsed > ELAPSED * budget ? "the time is up" : undefined;
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
