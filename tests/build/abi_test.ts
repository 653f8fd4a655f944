import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { abiHeader } from "../../build/abi.ts";
import { MODEL_OPTIONS, NAMES, POOLING, STATUS } from "../../ffi/symbols.ts";

/** The enums of abi.h: names to numbers. */
function enums(): Map<string, Record<string, number>> {
  const found = abiHeader().matchAll(/enum (\w+) : int32_t \{([^}]*)\}/g);
  return new Map(Array.from(found, ([, name, body]) => {
    const numbers = body!.matchAll(/(\w+) = (-?\d+),/g);
    return [name!, Object.fromEntries(Array.from(numbers, ([, one, value]) => [one!, Number(value)]))];
  }));
}

test("abiHeader() has an enum for each list, with as many names", () => {
  const counts = [...enums().values()].map((numbers) => Object.keys(numbers).length);
  const expected = Object.values(NAMES).map((names) =>
    Array.isArray(names) ? names.length + 1 : Object.keys(names).length
  );
  assertEquals(counts, expected);
});

test("abiHeader() numbers an ordered list from 0 and ends with its length", () => {
  assertEquals(enums().get("ModelOption"), {
    MODEL_GPU_LAYERS: 0,
    MODEL_CHECK_TENSORS: 1,
    MODEL_CHECK_HEADER: 2,
    MODEL_DEVICE: 3,
    MODEL_ADD_BOS: 4,
    MODEL_ADD_EOS: 5,
    MODEL_ADD_SEP: 6,
    MODEL_CAUSAL: 7,
    MODEL_REPACK: 8,
    MODEL_OPTIONS: MODEL_OPTIONS.length,
  });
});

test("abiHeader() takes the numbers of the lists that have them", () => {
  const numbered = (prefix: string, names: Readonly<Record<string, number>>) =>
    Object.fromEntries(Object.entries(names).map(([name, value]) => [`${prefix}_${name.toUpperCase()}`, value]));
  assertEquals(enums().get("saur_status"), numbered("SAUR", STATUS));
  assertEquals(enums().get("Pooling"), numbered("POOLING", POOLING));
});

test("abiHeader() names nothing twice", () => {
  const names = [...enums().values()].flatMap((numbers) => Object.keys(numbers));
  assertEquals(new Set(names).size, names.length);
});
