import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { LIMITS, selfTest, VECTORS } from "../../../cli/doctor/self_test.ts";
import { libraryMissing } from "../../support/references.ts";
import { embed } from "./reference.ts";

test("the stored vectors are those of float64, to the last digit that is written", () => {
  for (const [text, vector] of VECTORS) {
    const wanted = embed(text);
    assertEquals(vector.length, wanted.length);
    const off = Math.max(...vector.map((value, i) => Math.abs(value - wanted[i]!)));
    assert(off <= 0.5e-7 + 1e-12, `${text}: ${off}`);
  }
});

test("selfTest() is near the stored vectors, and says how near", { skip: libraryMissing }, async () => {
  const { state, message, details } = await selfTest(undefined);
  assertEquals(state, "ok", message);
  const { maxAbs } = details as { maxAbs: Record<keyof typeof LIMITS, number> };
  for (const type of ["f32", "q8_0"] as const) assert(maxAbs[type] > 0 && maxAbs[type] < LIMITS[type], message);
});

test("selfTest() fails with a library that is none", async () => {
  const { state, remedy } = await selfTest("/none/library.so");
  assertEquals([state, remedy?.endsWith(" build --clean")], ["failed", true]);
});
