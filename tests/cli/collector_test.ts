import { test } from "node:test";
import { assert } from "@std/assert";
import process from "node:process";
import { Collector } from "../../cli/collector.ts";

/** Bytes that are used while a million objects live. */
function fill(): number {
  const objects = Array.from({ length: 1_000_000 }, (_, i) => ({ i }));
  // JavaScriptCore counts what is new only when it collects.
  (globalThis as { readonly Bun?: { gc(isFull: boolean): void } }).Bun?.gc(true);
  const { heapUsed } = process.memoryUsage();
  return objects.length === 1_000_000 ? heapUsed : 0;
}

test("Collector gives back what is dead, once there is more of it", async () => {
  const collector = await Collector.open();
  const full = fill();
  collector.collect();
  const isLeft = (): boolean => process.memoryUsage().heapUsed > full - 10e6;
  for (let i = 0; i < 1000 && isLeft(); i++) await new Promise((go) => setTimeout(go, 10));
  assert(!isLeft(), `${full} bytes, then ${process.memoryUsage().heapUsed}`);
  collector[Symbol.dispose]();
  collector.collect(); // nothing any more
});
