import { test } from "node:test";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { assert, assertEquals } from "@std/assert";
import { fixture } from "./checkpoint.ts";
import { randomTensor } from "./fixtures/randoms.ts";

interface Tensor {
  readonly name: string;
  readonly shape: number[];
  readonly std: number;
  readonly mean?: number;
  readonly seed: number;
  readonly sha256: string;
}

const { random } = JSON.parse(readFileSync(fixture("minilm_cross_encoder.json"), "utf8")) as { random: Tensor[] };

for (const { name, shape, std, mean, seed, sha256 } of random) {
  test(`randomTensor() makes ${name} with the bits of the Python that made the reference`, () => {
    const values = randomTensor(seed, shape.reduce((a, b) => a * b, 1), std, mean);
    const bytes = new Uint8Array(values.buffer);
    assertEquals(createHash("sha256").update(bytes).digest("hex"), sha256);
  });
}

test("randomTensor() has the mean and the standard deviation that were asked for", () => {
  const values = randomTensor(1, 100_000, 0.5, 2);
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const std = Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length);
  console.log(`mean off by ${Math.abs(mean - 2)}, standard deviation by ${Math.abs(std - 0.5)}`);
  assert(Math.abs(mean - 2) < 0.01 && Math.abs(std - 0.5) < 0.01);
});
