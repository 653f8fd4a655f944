// What llama.cpp's own converter and quantiser make of a checkpoint, and how ours compares.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { assertEquals } from "@std/assert";
import { fixture } from "./checkpoint.ts";
import { readGguf } from "./gguf_reader.ts";

/** What tests/fixtures/make/gguf_manifest.py wrote of a file that llama.cpp's own converter or quantiser made. */
interface Manifest {
  readonly files: Record<string, {
    readonly keys: { key: string; type: string; value?: unknown; length?: number; sha256?: string }[];
    readonly tensors: { name: string; type: string; shape: number[]; sha256: string }[];
  }>;
}

const KEY_TYPES: Record<number, string> = { 0: "uint8", 4: "uint32", 5: "int32", 6: "float32", 7: "bool", 8: "string" };
// deno-fmt-ignore
const TENSOR_TYPES: Record<number, string> = {
  0: "f32", 1: "f16", 2: "q4_0", 3: "q4_1", 6: "q5_0", 7: "q5_1", 8: "q8_0", 12: "q4_k", 13: "q5_k", 14: "q6_k", 30: "bf16",
};

/** Guesses from the name and README of the folder, of which we make no more than general.name. */
const GUESSED =
  /^general\.(name|size_label|basename|finetune|organization|license|tags|languages|base_model.*|dataset.*)$/;

/** Hex sha256. */
export function sha256(bytes: Uint8Array | string): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Our file in the manifest's words. */
function describe(path: string): Manifest["files"][string] {
  const { metadata, tensors } = readGguf(path);
  return {
    keys: [...metadata].map(([key, { type, value }]) => {
      const kind = KEY_TYPES[type]!;
      if (!Array.isArray(value)) return { key, type: kind, value };
      const list = { key, type: `array<${kind}>` };
      return value.length > 8
        ? { ...list, length: value.length, sha256: sha256(stringify(value, kind)) }
        : { ...list, value };
    }),
    tensors: [...tensors].map(([name, { type, shape, data }]) => ({
      name,
      type: TENSOR_TYPES[type] ?? String(type),
      shape: shape.toReversed(),
      sha256: sha256(data),
    })),
  };
}

/** As Python writes a list: floats with a point. */
function stringify(list: unknown[], kind: string): string {
  if (kind !== "float32") return JSON.stringify(list);
  return `[${list.map((n) => Number.isInteger(n) ? `${n}.0` : String(n))}]`;
}

/** Compares a file with what llama.cpp made; `ours` are the keys and tensors that only we write, or write otherwise. */
export function assertEqualsLlama(path: string, name: string, type: string, ours: RegExp): void {
  const manifest: Manifest = JSON.parse(readFileSync(fixture(`${name}_gguf.json`), "utf8"));
  const theirs = manifest.files[type]!;
  const found = describe(path);
  assertEquals(
    found.keys.filter(({ key }) => !GUESSED.test(key) && !ours.test(key)),
    theirs.keys.filter(({ key }) => !GUESSED.test(key) && !ours.test(key)),
  );
  assertEquals(found.tensors.filter(({ name }) => !ours.test(name)), theirs.tensors);
  const only = [...found.keys.map(({ key }) => key), ...found.tensors.map(({ name }) => name)].filter((key) =>
    ours.test(key)
  );
  assertEquals(only.map((key) => key.match(ours)?.[0]), only);
}
