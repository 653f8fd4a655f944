/** What a contender did in some seconds. */
import { quantile } from "../statistics.ts";
import type { Spent } from "./spent.ts";

/** What is sent: texts of equal length, so that packing pays nobody more than another. */
export interface Job {
  readonly texts: readonly string[];
  readonly query: string;
  readonly documents: readonly string[];
}

/** What some seconds of asking came to. */
export interface Sample {
  readonly textsPerSecond: number;
  /** Milliseconds of a request. */
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  /** Requests that failed. */
  readonly errors: number;
  /** Milliseconds of a pass, on average; known in-process, where queries run beside a list. */
  readonly pass?: number;
  /** What a text took of the processor; known of ours. */
  readonly spent?: Spent;
  /** Sequences of a pass, on average; known of ours. */
  readonly filled?: number;
}

/**
 * Puts a sample together.
 *
 * @param times Milliseconds of each request.
 * @param texts How many they had.
 * @param milliseconds How long it took.
 */
export function sampleOf(times: readonly number[], texts: number, milliseconds: number, errors: number): Sample {
  const [p50, p95, p99] = [0.5, 0.95, 0.99].map((part) => quantile(times, part)) as [number, number, number];
  return { textsPerSecond: texts / milliseconds * 1000, p50, p95, p99, errors };
}
