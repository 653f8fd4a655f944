import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { fastestWeights } from "../../../src/engine/fastest.ts";

test("fastestWeights() names bf16 with the matrix unit on Linux, q8_0 with other kernels, and nothing without", () => {
  const ours = ["gelu", "attention", "f32", "bf16", "q8_0"], unit = ["AVX2", "AVX512F", "AMX_TILE", "AMX_BF16"];
  for (
    const [expected, kernels, processor, platform] of [
      ["bf16", ours, unit, "linux"],
      ["q8_0", ours, unit, "win32"],
      ["q8_0", ours, ["AVX2", "AMX_TILE"], "linux"],
      ["q8_0", ours.filter((name) => name !== "bf16"), unit, "linux"],
      [undefined, ["gelu", "attention"], ["NEON"], "linux"], // products are llama.cpp's on ARM
      [undefined, [], unit, "linux"], // a GPU, or kernels: false
    ] as const
  ) {
    assertEquals(
      fastestWeights(kernels, processor, platform),
      expected,
      JSON.stringify({ kernels, processor, platform }),
    );
  }
});
