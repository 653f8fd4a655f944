import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { newest } from "../../packages/inspect.ts";

test("newest() compares versions part by part, however many they have", () => {
  assertEquals(newest(["2.2.5", "2.17", "2.3"]), "2.17");
  assertEquals(newest(["2.34", "2.3.4", "2.4"]), "2.34");
  assertEquals(newest(["2.3", "2.3.4"]), "2.3.4");
  assertEquals(newest([]), "");
});
