// Whether every name that a shim takes is in the libraries of one of node-llama-cpp's packages: links.ts LIBRARY PACKAGE
import process from "node:process";
import { assertEquals } from "@std/assert";
import { findPrebuilt } from "../../build/prebuilt.ts";
import { cacheDirectory } from "../../ffi/host/paths.ts";
import { inspect } from "../../packages/inspect.ts";
import { getLlama, type LlamaPackage } from "../../packages/llama.ts";
import { type Shim, SHIMS } from "../../packages/platforms.ts";
import { exportsOf } from "../../packages/shim.ts";

/** The names of llama.cpp that a shim takes, and those of them that a package does not have. */
export async function linked(
  shim: Shim,
  library: string,
  name: LlamaPackage,
): Promise<{ readonly taken: number; readonly lacking: readonly string[] }> {
  const { imports } = await inspect(shim, library);
  const taken = imports!.filter((one) => /^(llama|ggml|gguf)_|^_ZN?K?\d+(llama|ggml)/.test(one));
  const { libraries } = await findPrebuilt(await getLlama(cacheDirectory()!, name), shim);
  const there = new Set((await Promise.all(libraries.map(exportsOf))).flat());
  return { taken: taken.length, lacking: taken.filter((one) => !there.has(one)) };
}

if (import.meta.main) {
  const [library = "", name = ""] = process.argv.slice(2);
  const { taken, lacking } = await linked(SHIMS[0]!, library, name as LlamaPackage);
  assertEquals(lacking, []);
  console.log(`${taken} names, all of them in ${name}`);
}
