import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { type Line, linesOf } from "../../../cli/data/lines.ts";

async function lines(
  text: string,
  size: number,
  ...rest: [offset?: number, before?: number, to?: number]
): Promise<Line[]> {
  const bytes = new TextEncoder().encode(text);
  async function* chunks() {
    for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.subarray(at, at + size));
  }
  const [offset = 0, before = 0, to] = rest;
  return (await Array.fromAsync(linesOf(chunks(), offset, before, to))).flat();
}

test("linesOf() gives the same lines and places however the bytes are cut", async () => {
  const text = "one\r\n\nthree, long enough for several chunks\nlast";
  const told = (found: Line[]) =>
    found.map(({ bytes, ...line }) => ({ ...line, text: new TextDecoder().decode(bytes) }));
  const expected = [
    { text: "one", start: 0, end: 5, number: 1, open: false },
    { text: "", start: 5, end: 6, number: 2, open: false },
    { text: "three, long enough for several chunks", start: 6, end: 44, number: 3, open: false },
    { text: "last", start: 44, end: 48, number: 4, open: true },
  ];
  for (let size = 1; size < 60; size++) assertEquals(told(await lines(text, size)), expected);
});

test("linesOf() goes on at an offset, and stops before lines that begin at `to` or later", async () => {
  for (const size of [1, 3, 100]) {
    const found = await lines("b\nc\nd\n", size, 10, 7, 14);
    assertEquals(found.map(({ start, number }) => [start, number]), [[10, 8], [12, 9]]);
  }
});
