// Which functions llama.cpp makes its graphs with, by its source: each is looked at in ffi/cpp/wraps/linux_graph.cpp.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { sourcePath } from "../../../build/source.ts";
import { ROOT } from "../../support/child.ts";

const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "llamasaur");
const source = sourcePath(cache);
const skip = existsSync(source) ? undefined : "the source of llama.cpp is not in the cache";

// They are given no tensor of a model.
const SPARED = ["ggml_dup_tensor", "ggml_get_next_tensor", "ggml_rope_ext_back"];

test("every function of ggml.h that llama.cpp makes a graph with is wrapped", { skip }, () => {
  const header = readFileSync(join(source, "ggml", "include", "ggml.h"), "utf8").replaceAll(/\/\/.*/g, "");
  const makes = [...header.matchAll(/GGML_API\s+struct ggml_tensor\s*\*\s*(ggml_\w+)\s*\(([^;]*?)\);/g)]
    .filter(([, , parameters = ""]) => /ggml_context/.test(parameters) && /ggml_tensor\s*\* /.test(parameters))
    .map(([, name = ""]) => name);
  const models = join(source, "src", "models");
  const files = [
    ...readdirSync(models).map((name) => join(models, name)),
    ...["llama-graph.cpp", "llama-kv-cache.cpp", "llama-memory-recurrent.cpp"].map((name) => join(source, "src", name)),
  ];
  const calls = new Set(files.flatMap((file) => readFileSync(file, "utf8").match(/\bggml_\w+(?=\s*\()/g) ?? []));
  const wraps = readFileSync(join(ROOT, "ffi", "cpp", "wraps", "linux_graph.cpp"), "utf8");
  const wrapped = new Set(Array.from(wraps.matchAll(/^CHECKED(?:_BUT)?\((ggml_\w+)/gm), ([, name]) => name));
  assert(makes.length > 150);
  assertEquals(makes.filter((name) => calls.has(name) && !wrapped.has(name) && !SPARED.includes(name)), []);
});
