// The families' fixtures (scripts/fixtures/families/make.py) and how far the product is from them, for the test and for
// `deno task parity`.
import { Buffer } from "node:buffer";
import { readdirSync, readFileSync } from "node:fs";
import { cosineSimilarity, type Llama } from "../mod.ts";
import { fixture } from "./checkpoint.ts";
import { farthest } from "./references.ts";

/** What a family's file is and what is asked of it. */
export interface FamilyInfo {
  readonly name: string;
  readonly title: string;
  readonly kind: "embedder" | "reranker";
  readonly file: string;
  readonly pooling: string;
  readonly maxTokens: number;
  /** The largest difference allowed with f32 weights: of a vector's number, or of a logit. */
  readonly tolerance: number;
}

/** A text and what the reference makes of it. */
export interface FamilyText {
  readonly id: string;
  readonly text: string;
  readonly prompt?: string;
  /** Token ids after the cut. */
  readonly tokens: readonly number[];
  /** How many tokens there were before the cut; only where it was cut. */
  readonly whole?: number;
  /** Why other software tokenises it in another way, and how. */
  readonly differs?: string;
  readonly theirs?: readonly number[];
  readonly vector: Float32Array;
}

/** What comes out when one thing is wrong, on one text. */
export interface Mutation {
  readonly name: string;
  /** Index of the text. */
  readonly text: number;
  readonly moved: number;
  readonly vector: Float32Array;
}

/** An embedding family. */
export interface EmbedderFixture {
  readonly family: FamilyInfo;
  readonly texts: readonly FamilyText[];
  readonly tokenLevel: readonly { readonly text: number; readonly rows: Float32Array }[];
  readonly mutations: readonly Mutation[];
}

const FOLDER = fixture("families");
const all: { id: string; text: string }[] = JSON.parse(readFileSync(fixture("texts.json"), "utf8"));
const textOf = new Map(all.map(({ id, text }) => [id, text]));

function decoded(base64: string): Float32Array {
  return new Float32Array(Uint8Array.from(Buffer.from(base64, "base64")).buffer);
}

// deno-lint-ignore no-explicit-any
function read(name: string): any {
  return JSON.parse(readFileSync(`${FOLDER}/${name}`, "utf8"));
}

/** Path of a family's f32 GGUF file. */
export function familyFile({ file }: FamilyInfo): string {
  return `${FOLDER}/${file}`;
}

/** The embedding families. */
export function embedders(): EmbedderFixture[] {
  return readdirSync(FOLDER).filter((file) => file.endsWith(".json")).toSorted().map(read)
    .filter(({ family }) => family.kind === "embedder")
    .map(({ family, texts, tokenLevel, mutations }) => ({
      family,
      texts: texts.map((one: FamilyText & { vector: string }) => ({
        ...one,
        text: textOf.get(one.id)!,
        vector: decoded(one.vector),
      })),
      tokenLevel: tokenLevel.map((one: { text: number; rows: string }) => ({ ...one, rows: decoded(one.rows) })),
      mutations: mutations.map((one: Mutation & { vector: string }) => ({ ...one, vector: decoded(one.vector) })),
    }));
}

/** The texts whose token ids are not the reference's, with both. */
export async function wrongTokens(llama: Llama, texts: readonly FamilyText[], limit: number): Promise<string[]> {
  const wrong: string[] = [];
  for (const { id, text, prompt = "", tokens, whole } of texts) {
    const ids = [...await llama.tokenize(prompt + text)];
    const kept = ids.length > limit ? [...ids.slice(0, limit - 1), ids.at(-1)!] : ids;
    if (ids.length !== (whole ?? tokens.length) || kept.join() !== tokens.join()) {
      wrong.push(
        `${id}: ${kept.length} tokens ${kept.slice(0, 40)}, not ${tokens.length} tokens ${tokens.slice(0, 40)}`,
      );
    }
  }
  return wrong;
}

/** The vectors of a family's texts, in their order. */
export async function vectorsOf(llama: Llama, texts: readonly FamilyText[]): Promise<Float32Array[]> {
  const prompts = [...new Set(texts.map(({ prompt }) => prompt))];
  const found = new Map<FamilyText, Float32Array>();
  for (const prompt of prompts) {
    const asked = texts.filter((text) => text.prompt === prompt);
    const vectors = await llama.embed(asked.map(({ text }) => text), { prompt });
    asked.forEach((text, i) => found.set(text, vectors[i]!));
  }
  return texts.map((text) => found.get(text)!);
}

/** How near vectors are to the reference. */
export interface VectorsOff {
  readonly least: number;
  readonly mean: number;
  readonly off: number;
  /** The text that is farthest. */
  readonly worst: string;
}

/** Compares vectors with the reference's. */
export function compareVectors(texts: readonly FamilyText[], vectors: readonly Float32Array[]): VectorsOff {
  const cosines = texts.map(({ vector }, i) => cosineSimilarity(vector, vectors[i]!));
  const offs = texts.map(({ vector }, i) => farthest(vector, vectors[i]!));
  const off = Math.max(...offs);
  return {
    least: Math.min(...cosines),
    mean: cosines.reduce((sum, one) => sum + one, 0) / cosines.length,
    off,
    worst: texts[offs.indexOf(off)]!.id,
  };
}
