/** Says which type of weights this processor computes fastest. */
import process from "node:process";

/** A type of weights as `quantize` and `convert` name it. */
export type FastestWeights = "bf16" | "q8_0";

/**
 * The type of weights that is computed fastest, by what `deno task bench:weights` measured on processors of each kind
 * (docs/speed.md): by the matrix unit bf16, else q8_0, from which most other types are a few percent away.
 *
 * @param kernels What our own kernels compute.
 * @param processor The processor's features, as `features` names them.
 * @param platform Our kernels use the matrix unit on Linux alone.
 * @returns undefined where llama.cpp computes, for that was not measured.
 */
export function fastestWeights(
  kernels: readonly string[],
  processor: readonly string[],
  platform: string = process.platform,
): FastestWeights | undefined {
  const matrixUnit = platform === "linux" && ["AMX_TILE", "AMX_BF16"].every((name) => processor.includes(name));
  if (matrixUnit && kernels.includes("bf16")) return "bf16";
  return kernels.includes("q8_0") ? "q8_0" : undefined;
}
