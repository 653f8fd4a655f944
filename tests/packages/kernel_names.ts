// Says which kernels the library that is found has on this processor, and fails where one is missing that every library has
// there: without them it computes all the same, and f32 is off by 1.8e-4.
import process from "node:process";
import { assert, assertEquals } from "@std/assert";
import { describeLibrary } from "../../mod.ts";

/** By processor; on ARM the products stay with ggml (ffi/cpp/kernels/arch/neon.cpp). */
const WANTED: Readonly<Record<string, readonly string[]>> = {
  x64: ["gelu", "attention", "f32", "q8_0"],
  arm64: ["gelu", "attention"],
};

const { path, kernels } = await describeLibrary();
console.log(`${path}: ${kernels.join(", ")}`);
const wanted = WANTED[process.arch];
assert(wanted !== undefined, `no library is for ${process.arch}`);
assertEquals(wanted.filter((name) => !kernels.includes(name)), []);
