// What a text gets alone and in company: random shapes over every fixture and every tiny model of the torture.
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { convert, quantize } from "../../convert.ts";
import type { Llama, LlamaInfo, LoadOptions } from "../../mod.ts";
import { BASES, writeBases } from "../torture/tiny_models.ts";
import { fixture } from "./checkpoint.ts";
import { familyFile, readFamilies } from "./families.ts";
import { farthest } from "./references.ts";

/** Types of weights whose vectors must not depend on company. */
export const TYPES = [
  "f32",
  "bf16",
  "q8_0",
  "f16",
  "q4_0",
  "q4_1",
  "q5_0",
  "q5_1",
  "q4_k_m",
  "q5_k_m",
  "q6_k",
  "iq4_nl",
] as const;
export type Type = (typeof TYPES)[number];

/** A model to try. */
export interface Specimen {
  readonly name: string;
  /** Path of its file in f32. */
  readonly file: string;
  readonly options: LoadOptions;
}

/** All of them; those that are no GGUF files yet are written to a directory. */
export async function specimens(directory: string): Promise<Specimen[]> {
  const { embedders, rerankers } = readFamilies();
  // The prompts of real rerankers are longer than the tiny models take.
  const template = { template: "{query}: {document}?" };
  const families = [...embedders, ...rerankers].map(({ family }): Specimen => ({
    name: family.name,
    file: familyFile(family),
    options: {
      contextSize: family.maxTokens,
      ...(family.kind === "embedder" && family.silent ? { pooling: family.pooling } : {}),
      ...(family.kind === "reranker" ? family.options : {}),
      ...(family.kind === "reranker" && (family.reranker === "yes-no" || family.template) ? template : {}),
    },
  }));
  const checkpoints = readdirSync(fixture("")).filter((name) => existsSync(fixture(`${name}/model.safetensors`)));
  const path = (name: string): string => join(directory, `${name}.gguf`);
  for (const name of checkpoints) await convert(fixture(name), path(name));
  await writeBases(directory);
  const bases = BASES.filter((name) => !["bert", "rerank", "q8_0", "q4_k"].includes(name)); // made of the checkpoints
  return [...families, ...[...checkpoints, ...bases].map((name) => ({ name, file: path(name), options: {} }))];
}

/** A specimen's file with weights of a type, in the directory. */
export async function ofType({ name, file }: Specimen, type: Type, directory: string): Promise<string> {
  if (type === "f32") return file;
  const path = join(directory, `${name} ${type}.gguf`);
  if (!existsSync(path)) await quantize(file, path, type);
  return path;
}

/** Whether our kernels compute the products of weights of a type, so that company does not matter. */
export function computes({ kernels }: LlamaInfo, type: Type): boolean {
  return kernels.includes(type.replace(/_k(_m)?$/, "_K"));
}

const WORDS = "a b ab abc x y é 7 the fox quick river cold winter is it so many words".split(" ");

/** Texts of random number and lengths, half of them of one to three words. */
export function randomTexts(draw: (min: number, max: number) => number, most = 24): string[] {
  const word = (): string => WORDS[draw(0, WORDS.length - 1)]!;
  return Array.from(
    { length: draw(2, most) },
    () => Array.from({ length: draw(1, draw(0, 1) ? 3 : 40) }, word).join(" "),
  );
}

/** The largest difference that was found, and where. */
export interface Apart {
  readonly off: number;
  readonly at: string;
}

/**
 * Compares what each text gets alone with what it gets in one call with the others: vectors by their numbers, logits as parts of
 * their size or of 1.
 */
export async function apart(llama: Llama, texts: readonly string[]): Promise<Apart> {
  const rows = llama.info.reranker === "cosine" ? vectors : logits;
  const together = await rows(llama, texts, texts);
  let worst: Apart = { off: 0, at: "" };
  for (const [i, text] of texts.entries()) {
    const [alone] = await rows(llama, [text], texts);
    const size = llama.info.reranker === "cosine" ? 1 : Math.max(1, ...together[i]!.map(Math.abs));
    const off = farthest(alone!, together[i]!) / size;
    if (off > worst.off) worst = { off, at: `text ${i} of ${texts.length}, ${JSON.stringify(text)}` };
  }
  return worst;
}

async function vectors(llama: Llama, texts: readonly string[]): Promise<number[][]> {
  return (await llama.embed(texts)).map((vector) => Array.from(vector));
}

async function logits(llama: Llama, texts: readonly string[], all: readonly string[]): Promise<number[][]> {
  const [query] = all[0]!.split(" ");
  const ranked = await llama.rerank(query!, texts);
  ranked.sort((a, b) => a.index - b.index);
  return ranked.map(({ logit, labels }) => labels ? labels.map(({ logit }) => logit) : [logit]);
}
