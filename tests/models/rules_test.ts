// The fingerprint promises to change when vectors would. What of ours decides them besides the file has a number, RULES; this
// table fails until it is raised.
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { RULES } from "../../src/engine/fingerprint.ts";
import { libraryMissing } from "../support/references.ts";
import { families, make, readTable } from "../support/rules.ts";

const skip = libraryMissing;
const TOLERANCE = 2e-5; // of f32 weights, between processors; a logit's by its size

test("RULES is the number of the committed table", () => {
  assertEquals(readTable().rules, RULES, "write the table anew: deno run -A tests/support/rules.ts");
});

test("the committed table has every family", () => {
  assertEquals(Object.keys(readTable().families).sort(), families().sort());
});

for (const family of families()) {
  test(`${family}: tokens and vectors are those that RULES ${RULES} stands for`, { skip }, async () => {
    const { ids, numbers } = readTable().families[family]!;
    const made = await make(family);
    const remedy = "if that is meant, raise RULES and write the table anew: deno run -A tests/support/rules.ts";
    assertEquals(made.ids, ids, remedy);
    let largest = 0;
    made.numbers.forEach((row, i) =>
      row.forEach((x, j) => {
        const expected = numbers[i]![j]!;
        largest = Math.max(largest, Math.abs(x - expected) / Math.max(1, Math.abs(expected)));
      })
    );
    assert(largest <= TOLERANCE, `they differ by up to ${largest}; ${remedy}`);
  });
}
