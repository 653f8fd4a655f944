// The structs that the shim fills in are passed by value inside C++ only. Here Deno reads them without the shim, so that
// a field moved upstream is seen even if the sizes that library.cpp asserts stay the same. Bun cannot pass structs by value.
import { test } from "node:test";
import { readFileSync } from "node:fs";
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { open } from "../../ffi/mod.ts";
import { MODEL_INFO } from "../../ffi/symbols.ts";

type Kind = "pointer" | "i32" | "u32" | "f32" | "bool" | "usize";
type Field = readonly [name: string, kind: Kind];

const SIZES: Record<Kind, number> = { pointer: 8, i32: 4, u32: 4, f32: 4, bool: 1, usize: 8 };
const isDeno = "Deno" in globalThis;

function fields(kind: Kind, names: string): Field[] {
  return names.split(" ").map((name) => [name, kind]);
}

// llama.h of the pinned llama.cpp, struct llama_model_params and struct llama_context_params, in order.
const MODEL_PARAMS: Field[] = [
  ...fields("pointer", "devices tensor_buft_overrides"),
  ...fields("i32", "n_gpu_layers split_mode load_mode lazy_mode main_gpu"),
  ...fields("pointer", "tensor_split progress_callback progress_callback_user_data kv_overrides"),
  ...fields("bool", "vocab_only check_tensors use_extra_bufts no_host no_alloc load_mtp"),
];
const CONTEXT_PARAMS: Field[] = [
  ...fields("u32", "n_ctx n_batch n_ubatch n_seq_max n_rs_seq n_outputs_max n_outputs_max_per_seq"),
  ...fields("i32", "n_threads n_threads_batch ctx_type rope_scaling_type pooling_type attention_type flash_attn_type"),
  ...fields("f32", "rope_freq_base rope_freq_scale yarn_ext_factor yarn_attn_factor yarn_beta_fast yarn_beta_slow"),
  ["yarn_orig_ctx", "u32"],
  ["defrag_thold", "f32"],
  ...fields("pointer", "cb_eval cb_eval_user_data"),
  ...fields("i32", "type_k type_v"),
  ...fields("pointer", "abort_callback abort_callback_data"),
  ...fields("bool", "embeddings offload_kqv no_perf op_offload swa_full kv_unified"),
  ["samplers", "pointer"],
  ["n_samplers", "usize"],
  ["ctx_other", "pointer"],
];

/** Reads every field of a struct, each at its natural alignment. */
function readStruct(layout: readonly Field[], bytes: Uint8Array): Record<string, number> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const values: Record<string, number> = {};
  let at = 0;
  for (const [name, kind] of layout) {
    const size = SIZES[kind];
    at = Math.ceil(at / size) * size;
    if (kind === "bool") values[name] = view.getUint8(at);
    else if (kind === "i32") values[name] = view.getInt32(at, true);
    else if (kind === "u32") values[name] = view.getUint32(at, true);
    else if (kind === "f32") values[name] = view.getFloat32(at, true);
    else values[name] = Number(view.getBigUint64(at, true));
    at += size;
  }
  assertEquals(Math.ceil(at / 8) * 8, bytes.byteLength, "the fields do not fill the struct");
  return values;
}

/** Calls both functions through Deno.dlopen, with the structs as they come back by value. */
async function byValue(): Promise<Record<"m" | "c", Record<string, number>>> {
  const { path } = await open();
  const kinds = (layout: readonly Field[]) => ({ struct: layout.map(([, kind]) => kind) });
  const { symbols } = Deno.dlopen(path, {
    llama_model_default_params: { parameters: [], result: kinds(MODEL_PARAMS) },
    llama_context_default_params: { parameters: [], result: kinds(CONTEXT_PARAMS) },
  });
  return {
    m: readStruct(MODEL_PARAMS, symbols.llama_model_default_params()),
    c: readStruct(CONTEXT_PARAMS, symbols.llama_context_default_params()),
  };
}

/** The fields that saur_default_params reports, in its order, as library.cpp writes them: `m.n_gpu_layers`. */
function reportedNames(): string[] {
  const shim = readFileSync(new URL("../../ffi/cpp/shim/library.cpp", import.meta.url), "utf8");
  const body = /saur_default_params\([^]*?values\[\] = \{([^]*?)\};/.exec(shim)![1]!;
  return [...body.matchAll(/\(double\) ([mc]\.\w+)/g)].map(([, name]) => name!);
}

test("llama_*_default_params() by value are what saur_default_params reports", { skip: !isDeno }, async () => {
  const structs = await byValue();
  const expected = reportedNames().map((name) => {
    const [struct, field] = name.split(".") as ["m" | "c", string];
    return [name, structs[struct][field]];
  });
  assert(expected.length > 10, `only ${expected.length} fields were understood`);
  const values = new Float64Array(64);
  const { functions } = await open();
  assertEquals(functions.saur_default_params(values, values.length), expected.length);
  assertEquals(reportedNames().map((name, i) => [name, values[i]]), expected);
});

test("llama_*_default_params() by value have the defaults that this package was written for", {
  skip: !isDeno,
}, async () => {
  const { m, c } = await byValue();
  const { devices, n_gpu_layers, split_mode, main_gpu, vocab_only, check_tensors, use_extra_bufts } = m;
  assertEquals(
    { devices, n_gpu_layers, split_mode, main_gpu, vocab_only, check_tensors, use_extra_bufts },
    { devices: 0, n_gpu_layers: -1, split_mode: 1, main_gpu: 0, vocab_only: 0, check_tensors: 0, use_extra_bufts: 1 },
  );
  const { n_ctx, n_batch, n_ubatch, n_seq_max, pooling_type, type_k, type_v, abort_callback, n_samplers } = c;
  assertEquals(
    { n_ctx, n_batch, n_ubatch, n_seq_max, pooling_type, type_k, type_v, abort_callback, n_samplers },
    {
      n_ctx: 512,
      n_batch: 2048,
      n_ubatch: 512,
      n_seq_max: 1,
      pooling_type: -1,
      type_k: 1,
      type_v: 1,
      abort_callback: 0,
      n_samplers: 0,
    },
  );
  assertAlmostEquals(c.yarn_beta_fast!, -1); // in the middle of the struct, between floats
});

test("saur_default_params() writes no more than it is given room for", async () => {
  const { functions } = await open();
  const all = new Float64Array(64).fill(NaN);
  const count = functions.saur_default_params(all, all.length);
  assert(Number.isNaN(all[count]) && !Number.isNaN(all[count - 1]));
  const few = new Float64Array(4).fill(NaN);
  assertEquals(functions.saur_default_params(few, 2), count);
  assertEquals([...few], [all[0], all[1], NaN, NaN]);
  assertEquals(functions.saur_default_params(few, -1), count);
});

test("saur_model_info() writes every number of MODEL_INFO once", () => {
  const model = readFileSync(new URL("../../ffi/cpp/shim/model.cpp", import.meta.url), "utf8");
  const written = [...model.matchAll(/values\[INFO_(\w+)\]\s*=/g)].map(([, name]) => name!.toLowerCase());
  assertEquals(written, MODEL_INFO.map((name) => name.replace(/[A-Z]/g, "_$&").toLowerCase()));
});
