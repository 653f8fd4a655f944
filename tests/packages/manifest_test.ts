import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { aboveFunction, headOf } from "../../packages/manifest.ts";

const SOURCE = `// Copyright 2024 Somebody
//
// Permission is granted.

// not of the notice
#include "a.h"

// of another function
static int other(void);

// An algorithm.
// MIT licensed. Copyright (c) 2023 Somebody else.
static void ours(
    int a) {
}
`;

test("headOf() and aboveFunction() find the notices of a source, and nothing where there is none", () => {
  assertEquals(headOf(SOURCE), "Copyright 2024 Somebody\n\nPermission is granted.\n");
  assertEquals(headOf(`\n${SOURCE}`), "");
  assertEquals(aboveFunction("ours")(SOURCE), "An algorithm.\nMIT licensed. Copyright (c) 2023 Somebody else.\n");
  assertEquals(aboveFunction("theirs")(SOURCE), "");
});
