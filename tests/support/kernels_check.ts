// Judges what kernels_check (tests/native/kernels_check) prints: one JSON object a line.
import { assert } from "@std/assert";

/** The largest differences that kernels_check may print, by the name's first word or words. */
const TOLERANCES: readonly (readonly [name: string, ours: number])[] = [
  ["product, not finite", 0],
  ["product, alone and in a pack", 0],
  ["product, of the same activations", 0],
  ["product, bf16, by its own instructions", 1e-6],
  ["product, f32", 2e-6],
  ["product, ", 1e-4], // activations of 16 bits
  ["gelu", 3e-7],
  ["attention, alone and in a pack", 0],
  ["attention in bf16, alone and in a pack", 0],
  ["attention in bf16", 6e-3],
  ["attention", 3e-5],
  ["softmax, alone and in a pack", 0],
  ["softmax", 1e-6],
  ["NORM", 1e-6],
  ["RMS_NORM", 1e-6],
  ["ADD", 2e-7],
  ["MUL", 2e-7],
  ["chain", 2e-7],
  ["table", 0],
  ["backend", 0],
];

interface Check {
  readonly name: string;
  readonly kernels: string;
  readonly cases: number;
  readonly ours: number;
  readonly stock: number;
}

/**
 * Holds each line against its tolerance and against ggml-cpu.
 *
 * @returns How many lines there are; 0 where the processor has no kernels.
 */
export function assertExact(printed: string): number {
  const checks = printed.split("\n").filter((line) => line !== "").map((line): Check => JSON.parse(line));
  for (const { name, kernels, cases, ours, stock } of checks) {
    const [, tolerance] = TOLERANCES.find(([start]) => name.startsWith(start))!;
    assert(ours <= tolerance, `${name}, ${kernels}: ${ours} is more than ${tolerance}`);
    if (name.startsWith("attention in bf16")) continue; // one rounding more than ggml-cpu's, of weights
    assert(cases > 0 && ours <= stock || ours <= 2e-6, `${name}, ${kernels}: ${ours} is more than ggml-cpu's ${stock}`);
  }
  return checks.length;
}
