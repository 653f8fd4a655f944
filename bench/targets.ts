/** What was promised for each class of processors, and whether it was measured so. */
import type { ProcessorClass } from "./machine.ts";
import { isOurs, nameExact } from "./ours_peer.ts";
import { type Measured, secondsOf, speedup, type WorkloadResult } from "./results.ts";

/** A promise and what was found. */
export interface Verdict {
  readonly name: string;
  readonly goal: string;
  readonly found: string;
  readonly verdict: "met" | "missed" | "not measured";
}

const RUNTIMES = ["Deno", "Bun"] as const;
const BULK = ["titles", "paragraphs", "passages", "many", "rerank"] as const;
const FP32 = ["fp32", "float32"]; // as peers name it

/** What depends on the processor. */
interface Goals {
  /** Most of the ceiling's latency that one short query may take. */
  readonly query: number;
  /** Least speed of ours, of others'. */
  readonly nodeLlamaCpp: number;
  readonly onnxruntime: number;
  /** Of the best peer of any type, by workload. */
  readonly bestPeer: Readonly<Partial<Record<typeof BULK[number], number>>>;
  /** Of the best peer's fp32, with f32 weights; and the most of its latency for one short query. */
  readonly fp32?: number;
}

// The best type is bf16 where a processor multiplies it; where it does not, others compute in fp32, too.
const WIDE: Goals = { query: 1.1, nodeLlamaCpp: 3, onnxruntime: 1.8, bestPeer: { paragraphs: 1.25 } };
const GOALS: Readonly<Record<ProcessorClass, Goals>> = {
  "AMX": WIDE,
  "AVX-512": WIDE,
  "AVX2": {
    ...{ query: 1, nodeLlamaCpp: 1.9, onnxruntime: 1.5, fp32: 1 },
    bestPeer: { titles: 1.5, paragraphs: 1.5, passages: 1.5, rerank: 1.5 },
  },
  "NEON": WIDE,
};

/** A figure by whose measured it is. */
export type Figures = readonly (readonly [whose: string, figure: number | undefined])[];

/** Every promise for a class of processors; the worst of both runtimes decides. */
export function targets(results: readonly WorkloadResult[], processor: ProcessorClass): Verdict[] {
  const goals = GOALS[processor];
  const row = (workload: string, name: string) =>
    results.find((one) => one.name === workload)?.contenders.find((one) => one.name === name);
  const faster = (workload: string, suffix: string, other: string): Figures =>
    RUNTIMES.map((runtime) => [runtime, times(row(workload, runtime + suffix), row(workload, other))]);
  const find = (workload: string) => results.find(({ name }) => name === workload);
  const lengths = streamLengths(results);
  const stream = (figure: (shorter: Measured, longest: Measured) => number | undefined, at: number): Figures =>
    RUNTIMES.map((runtime) => {
      const shorter = row("stream", `${runtime}, ${lengths[at]}`);
      const longest = row("stream", `${runtime}, ${lengths.at(-1)}`);
      return [runtime, shorter && longest ? figure(shorter, longest) : undefined];
    });
  return [
    ...BULK.map((workload) => atLeast(`${workload}: speed, of the ceiling's`, 0.97, faster(workload, "", "ceiling"))),
    atMost("one short query: latency, of the ceiling's", goals.query, inverse(faster("query", "", "ceiling"))),
    atMost(
      "start to first vector, runtime apart: of C++ alone",
      1.3,
      inverse(faster("start", ", less its empty script", "ceiling")),
    ),
    atLeast("paragraphs: of llama-server's best", 1.25, faster("paragraphs", "", "llama-server")),
    atLeast("paragraphs: of node-llama-cpp's best", goals.nodeLlamaCpp, faster("paragraphs", "", "node-llama-cpp")),
    atLeast("paragraphs: of onnxruntime fp32", goals.onnxruntime, faster("paragraphs", "", "onnxruntime")),
    ...BULK.flatMap((workload) => {
      const goal = goals.bestPeer[workload];
      const best = bestPeer(find(workload));
      const name = `${workload}: of the best peer${best ? `, ${best.name}` : ""}`;
      return goal === undefined ? [] : [atLeast(name, goal, best ? faster(workload, "", best.name) : [])];
    }),
    ...(goals.fp32 === undefined ? [] : precise(goals.fp32, find, faster)),
    atLeast("causal embedder: of llama-server", 2, faster("causal", "", "llama-server")),
    atMost(
      "causal embedder: peak memory, of llama-server's",
      0.4,
      RUNTIMES.map((runtime) => [runtime, peak(row("causal", runtime), row("causal", "llama-server"))]),
    ),
    atLeast(
      "yes/no rerank: of the same without prefix sharing",
      2,
      RUNTIMES.map((
        runtime,
      ) => [runtime, times(row("yes-no", runtime), row("yes-no", `${runtime}, no shared prefix`))]),
    ),
    atMost("stream: time per text, longest of shortest", 1.1, stream((a, b) => perText(b) / perText(a), 0)),
    atMost("stream: peak memory, longest of middle", 1.1, stream((a, b) => peak(b, a), 1)),
  ];
}

/** What f32 weights are promised, against the best fp32 of others. */
function precise(
  goal: number,
  find: (workload: string) => WorkloadResult | undefined,
  faster: (workload: string, suffix: string, other: string) => Figures,
): Verdict[] {
  const figures = (workload: string): [best: string, figures: Figures] => {
    const best = bestPeer(find(workload), FP32);
    return [best ? `, ${best.name}` : "", best ? faster(workload, nameExact(""), best.name) : []];
  };
  const bulk = BULK.filter((name) => name !== "many").map((workload) => {
    const [best, found] = figures(workload);
    return atLeast(`${workload}: f32, of the best fp32${best}`, goal, found);
  });
  const [best, found] = figures("query");
  return [...bulk, atMost(`one short query: latency of f32, of the best fp32${best}`, goal, inverse(found))];
}

/** The fastest of others, of some types or of all. */
function bestPeer(result: WorkloadResult | undefined, types?: readonly string[]): Measured | undefined {
  const others =
    result?.contenders.filter((one) =>
      one.name !== "ceiling" && !isOurs(one.name) && secondsOf(one) !== undefined &&
      (types === undefined || types.includes(one.candidate?.type ?? ""))
    ) ?? [];
  return others.sort((a, b) => secondsOf(a)! - secondsOf(b)!)[0];
}

function streamLengths(results: readonly WorkloadResult[]): number[] {
  const rows = results.find(({ name }) => name === "stream")?.contenders ?? [];
  return [...new Set(rows.map(({ texts }) => texts))].sort((a, b) => a - b);
}

/** How many times as fast one is. */
function times(one: Measured | undefined, other: Measured | undefined): number | undefined {
  return one && other && speedup(one, other)?.median;
}

/** Seconds, the middle of all turns: the long stream has one turn only. */
function perText(one: Measured): number {
  return (secondsOf(one) ?? NaN) / one.texts;
}

function peak(one: Measured | undefined, other: Measured | undefined): number | undefined {
  return one?.peakBytes && other?.peakBytes ? one.peakBytes / other.peakBytes : undefined;
}

function inverse(figures: Figures): Figures {
  return figures.map(([whose, figure]) => [whose, figure === undefined ? undefined : 1 / figure]);
}

/** A promise that no figure is below a bound. */
export function atLeast(name: string, bound: number, figures: Figures): Verdict {
  return judge(name, `≥ ${bound}`, figures, (figure) => figure >= bound);
}

/** A promise that no figure is above a bound. */
export function atMost(name: string, bound: number, figures: Figures): Verdict {
  return judge(name, `≤ ${bound}`, figures, (figure) => figure <= bound);
}

function judge(name: string, goal: string, figures: Figures, holds: (figure: number) => boolean): Verdict {
  const known = figures.flatMap(([whose, figure]) => figure === undefined ? [] : [[whose, figure] as const]);
  if (known.length === 0) return { name, goal, found: "", verdict: "not measured" };
  const found = known.map(([whose, figure]) => `${whose} ${figure.toFixed(2)}`).join(", ");
  return { name, goal, found, verdict: known.every(([, figure]) => holds(figure)) ? "met" : "missed" };
}
