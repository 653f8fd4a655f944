import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { limitsOf } from "../../../cli/serve/memory.ts";

const MB = 1e6;

test("limitsOf() gives each model room for its weights and an equal part of the rest", () => {
  const models = [{ size: 100 * MB, own: undefined }, { size: 300 * MB, own: undefined }];
  assertEquals(limitsOf(models, 1000 * MB), [400 * MB, 600 * MB]);
  assertEquals(limitsOf(models, undefined), [undefined, undefined]);
});

test("limitsOf() takes a model's own limit from the whole before it divides", () => {
  const own = { size: 100 * MB, own: 1500 * MB };
  const other = { size: 100 * MB, own: undefined };
  assertEquals(limitsOf([own, other], 2000 * MB), [1500 * MB, 500 * MB]);
  assertEquals(limitsOf([own, other, other], 2000 * MB), [1500 * MB, 250 * MB, 250 * MB]);
  assertEquals(limitsOf([own, own], 2000 * MB), [1500 * MB, 1500 * MB]);
  assertEquals(limitsOf([own, other], undefined), [1500 * MB, undefined]);
});

test("limitsOf() leaves a byte, which no model can load within, where there is nothing left", () => {
  const models = [{ size: 100 * MB, own: 150 * MB }, { size: 100 * MB, own: undefined }];
  assertEquals(limitsOf(models, 100 * MB), [150 * MB, 1]);
});
