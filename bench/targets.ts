/** What was promised (issue C), and whether it was measured so. */
import { isOurs } from "./ours_peer.ts";
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

/** A figure by whose measured it is. */
export type Figures = readonly (readonly [whose: string, figure: number | undefined])[];

/** Every promise; the worst of both runtimes decides. */
export function targets(results: readonly WorkloadResult[]): Verdict[] {
  const row = (workload: string, name: string) =>
    results.find((one) => one.name === workload)?.contenders.find((one) => one.name === name);
  const faster = (workload: string, suffix: string, other: string): Figures =>
    RUNTIMES.map((runtime) => [runtime, times(row(workload, runtime + suffix), row(workload, other))]);
  const peers = bestPeers(results.find(({ name }) => name === "paragraphs"));
  const lengths = streamLengths(results);
  const stream = (figure: (shorter: Measured, longest: Measured) => number | undefined, at: number): Figures =>
    RUNTIMES.map((runtime) => {
      const shorter = row("stream", `${runtime}, ${lengths[at]}`);
      const longest = row("stream", `${runtime}, ${lengths.at(-1)}`);
      return [runtime, shorter && longest ? figure(shorter, longest) : undefined];
    });
  return [
    ...BULK.map((workload) => atLeast(`${workload}: speed, of the ceiling's`, 0.97, faster(workload, "", "ceiling"))),
    atMost("one short query: latency, of the ceiling's", 1.1, inverse(faster("query", "", "ceiling"))),
    atMost(
      "start to first vector, runtime apart: of C++ alone",
      1.3,
      inverse(faster("start", ", less its empty script", "ceiling")),
    ),
    atLeast("paragraphs: of llama-server's best", 1.25, faster("paragraphs", "", "llama-server")),
    atLeast("paragraphs: of node-llama-cpp's best", 3, faster("paragraphs", "", "node-llama-cpp")),
    atLeast("paragraphs: of onnxruntime fp32", 1.8, faster("paragraphs", "", "onnxruntime")),
    atLeast(
      `paragraphs: of the best peer${peers[0] ? `, ${peers[0].name}` : ""}`,
      1.25,
      peers[0] ? faster("paragraphs", "", peers[0].name) : [],
    ),
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

/** Peers of others, the fastest first. */
function bestPeers(paragraphs: WorkloadResult | undefined): Measured[] {
  const others = paragraphs?.contenders
    .filter((one) => one.name !== "ceiling" && !isOurs(one.name) && secondsOf(one) !== undefined) ?? [];
  return others.sort((a, b) => secondsOf(a)! - secondsOf(b)!);
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
