// References of sentence-transformers (tests/fixtures/make/sentence_vectors.py), and how far a model is from them.
import { Buffer } from "node:buffer";
import { existsSync, readFileSync } from "node:fs";
import { candidates } from "../../ffi/open.ts";
import { cosineSimilarity, type Embedding } from "../../mod.ts";
import { fixture } from "./checkpoint.ts";

/** A text and what sentence-transformers makes of it. */
export interface Reference {
  readonly id: string;
  readonly text: string;
  /** Token ids after the cut. */
  readonly tokens: number[];
  readonly count: number;
  /** How many tokens there were before the cut; only where it was cut. */
  readonly whole?: number;
  readonly truncated: boolean;
  /** Why llama.cpp's own tokenizer differs. */
  readonly differs?: string;
  readonly vector: Float32Array;
}

/** A fixture of references. */
export interface References {
  readonly model: { readonly dimensions: number; readonly maxTokens: number; readonly pooling: string };
  readonly example: { readonly query: string; readonly documents: string[]; readonly scores: number[] };
  readonly texts: Reference[];
}

/** Whether no native library was built. */
export const libraryMissing: boolean = !candidates().some(({ path, skipped }) => !skipped && existsSync(path));

/** Path of a file in models/. */
export function modelPath(name: string): string {
  return fixture(`../../models/${name}`);
}

/** Whether tests of this file in models/ can't run. */
export function cannotLoad(name: string): boolean {
  return libraryMissing || !existsSync(modelPath(name));
}

/** Reads a fixture of references. */
export function readReferences(name: string): References {
  const { texts, ...rest } = JSON.parse(readFileSync(fixture(name), "utf8"));
  return {
    ...rest,
    texts: texts.map((text: Reference & { vector: string }) => {
      const bytes = Uint8Array.from(Buffer.from(text.vector, "base64"));
      return { ...text, vector: new Float32Array(bytes.buffer) };
    }),
  };
}

/** How near two vectors are. */
export interface Nearness {
  readonly id: string;
  readonly tokens: number;
  readonly cosine: number;
  /** The largest difference of two numbers. */
  readonly off: number;
}

/** Compares reports with references, one by one. */
export function compare(references: readonly Reference[], reports: readonly Embedding[]): Nearness[] {
  return references.map(({ id, count, vector }, i) => {
    const { embedding } = reports[i]!;
    return { id, tokens: count, cosine: cosineSimilarity(embedding, vector), off: farthest(embedding, vector) };
  });
}

/** The largest difference of two vectors' numbers. */
export function farthest(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let most = a.length === b.length ? 0 : Infinity;
  for (let i = 0; i < a.length; i++) most = Math.max(most, Math.abs(a[i]! - b[i]!));
  return most;
}

/** The least cosine, with its text, and the largest difference; prints them. */
export function worst(what: string, all: readonly Nearness[]): Nearness {
  const least = all.reduce((a, b) => b.cosine < a.cosine ? b : a);
  const off = Math.max(...all.map(({ off }) => off));
  console.log(`${what}: ${all.length} texts, least cosine ${least.cosine} (${least.id}), largest difference ${off}`);
  return { ...least, off };
}
