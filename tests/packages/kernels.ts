// Runs kernels_check, as it was compiled for another processor, and judges what it prints: kernels.ts COMMAND…
import process from "node:process";
import { assert } from "@std/assert";
import { run } from "../../build/run.ts";
import { assertExact } from "../support/kernels_check.ts";

const { code, output } = await run(process.argv.slice(2));
assert(code === 0, output);
console.log(
  `${assertExact(output)} checks: ${
    [...new Set(Array.from(output.matchAll(/"kernels": ?"(\w+)"/g), ([, name]) => name))].join(", ")
  }`,
);
assert(assertExact(output) > 0, "no kernels");
