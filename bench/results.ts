/** What the driver finds out, as it is written to results.json. */
import type { Answer } from "./contender.ts";
import type { Machine } from "./machine.ts";
import type { Candidate } from "./peer.ts";
import { distance, median, quantile, type Ratio, ratioOf, spearman } from "./statistics.ts";

/** How near vectors or scores are to the truth. */
export interface Accuracy {
  readonly maxAbs: number;
  readonly minCosine?: number;
  readonly meanCosine?: number;
  /** Of scores: 1 when they rank alike. */
  readonly spearman?: number;
}

/** One turn of a contender. */
export interface Turn {
  /** Of the whole call, or the middle one of single calls. */
  readonly seconds: number;
  readonly cpu?: number;
  /** Seconds of each single call. */
  readonly latencies?: readonly number[];
}

/** One candidate's trial. */
export interface Cell {
  readonly candidate: Candidate;
  /** Of each time that it ran. */
  readonly seconds: readonly number[];
  readonly accuracy?: Accuracy;
  /** Why there is no figure. */
  readonly error?: string;
}

/** All of one contender in one workload. */
export interface Measured {
  readonly name: string;
  readonly texts: number;
  readonly candidate?: Candidate;
  readonly search: readonly Cell[];
  readonly ready?: Answer;
  /** By round; undefined where its time was up. */
  readonly turns: readonly (Turn | undefined)[];
  readonly accuracy?: Accuracy;
  readonly peakBytes?: number;
  readonly error?: string;
  /** Whose ratio is told, if not the workload's reference. */
  readonly reference?: string;
}

/** All of one workload. */
export interface WorkloadResult {
  readonly name: string;
  readonly title: string;
  /** Whose ratio to others is told. */
  readonly reference: string;
  /** Whose vectors are compared with. */
  readonly truth?: string;
  readonly tokens?: number;
  /** Whether single calls are measured, not texts a second. */
  readonly latency: boolean;
  readonly contenders: readonly Measured[];
}

/** Everything. */
export interface Results {
  readonly date: string;
  readonly commit: string;
  readonly size: "smoke" | "full";
  readonly machine: Machine;
  readonly workloads: readonly WorkloadResult[];
}

/** Compares rows with the truth: vectors of a width, or scores. */
export function accuracyOf(kind: "embed" | "rerank", truth: Float32Array, rows: Float32Array, texts: number): Accuracy {
  if (truth.length !== rows.length) throw new Error(`It gives ${rows.length} numbers where ${truth.length} are right`);
  if (kind === "embed") {
    const { maxAbs, minCosine, meanCosine } = distance(truth, rows, truth.length / texts);
    return { maxAbs, minCosine, meanCosine };
  }
  const maxAbs = truth.reduce((most, value, i) => Math.max(most, Math.abs(value - rows[i]!)), 0);
  return { maxAbs, spearman: spearman(truth, rows) };
}

/** What a floor is compared with. */
export function closeness({ minCosine, spearman }: Accuracy): number {
  return minCosine ?? spearman ?? NaN;
}

/** How many times as fast as another contender, in the same rounds. */
export function speedup(one: Measured, other: Measured, clock: "seconds" | "cpu" = "seconds"): Ratio | undefined {
  const perText = ({ turns, texts }: Measured) =>
    turns.map((turn) => turn?.[clock] === undefined ? undefined : turn[clock] / texts);
  return ratioOf(perText(other), perText(one));
}

/** Seconds of a turn, the middle one; undefined without any. */
export function secondsOf({ turns }: Measured): number | undefined {
  const all = turns.flatMap((turn) => turn === undefined ? [] : [turn.seconds]);
  return all.length === 0 ? undefined : median(all);
}

/** A quantile of all single calls, in seconds. */
export function latencyOf({ turns }: Measured, part: number): number | undefined {
  const all = turns.flatMap((turn) => turn?.latencies ?? []);
  return all.length === 0 ? undefined : quantile(all, part);
}
