import { test } from "node:test";
import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { slower, table, tally } from "../../scripts/callgrind.ts";

// Two threads encode; `product` also calls itself, and a call within one file has no cfi= line.
const PROFILE = `# callgrind format
version: 1
positions: line
events: Ir
summary: 4000

fl=???
fn=main
0 10
cfn=encode(lane*)
calls=2 0
0 3000
cfi=ffi/cpp/kernels/backend.cpp
cfn=load(char const*)
calls=1 0
0 700

fn=encode(lane*)
16 100
cfn=product(tensor*)
calls=4 0
20 2500

fn=product(tensor*)
0 900
cfn=product(tensor*)'2
calls=1 0
0 1600

fn=worker
0 1
cfn=encode(lane*)
calls=1 0
0 500
totals: 4000
`;

test("tally() sums a part's calls with what they call, and a recursion once", () => {
  const parts = { encode: /^encode/, product: /^product/, both: /^(load|encode)/ };
  assertEquals(tally(PROFILE, parts), { encode: 3500, product: 2500, both: 4200 });
});

test("tally() throws when a part was not called, since a renamed function would count as nothing", () => {
  assertThrows(() => tally(PROFILE, { gelu: /::gelu\(/ }), Error, "gelu");
});

test("slower() names the parts that are above by more than 2 %, and 500 instructions where that is less", () => {
  const before = { large: 1_000_000, small: 1000 };
  assertEquals(slower({ large: 1_019_000, small: 1499 }, before), []);
  assertEquals(slower({ large: 1_021_000, small: 1501 }, before), ["large", "small"]);
  assertEquals(slower({ large: 900_000, small: 1 }, before), []);
  assertEquals(slower({ large: 1_000_000, fresh: 1 }, { large: 1_000_000 }), []);
});

test("table() has a row for each part, with its change where there is something to compare", () => {
  const lines = table({ load: 2_040_000 }, { load: 2_000_000 }).split("\n");
  assertEquals(lines.length, 3);
  assertStringIncludes(lines[2]!, "2040.0 |     2000.0 |     2.00 % |");
  assertStringIncludes(table({ load: 2_040_000 }, undefined), "2040.0 |            |            |");
});
