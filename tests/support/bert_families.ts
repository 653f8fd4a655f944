// The families whose fixtures are older than the others': BERT cross-encoders and MiniLM, in the others' shape.
import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { convert } from "../../convert.ts";
import { fixture } from "./checkpoint.ts";
import type { Embedder, FamilyPair, Reranker } from "./families.ts";
import { addHead, minilmCheckpoint, type Part } from "./minilm_head.ts";
import { cannotLoad, farthest, modelPath, readReferences } from "./references.ts";

/** The models with real weights, by their file and their references. */
const REAL_MODELS = [
  { name: "minilm", title: "all-MiniLM-L6-v2", file: "all-minilm-l6-v2-f32.gguf", references: "minilm.json" },
  { name: "splade_tiny", title: "SPLADE-tiny's encoder", file: "splade-tiny-f32.gguf", references: "splade_tiny.json" },
] as const;

interface Stored {
  readonly model: { readonly maxTokens: number };
  readonly random?: readonly Part[];
  readonly pairs: readonly (FamilyPair & { readonly wrong: Readonly<Record<string, readonly number[]>> })[];
}

/** The models with real weights and all their texts; those whose file is in models/. */
export function realModels(): { embedder: Embedder; file: string }[] {
  return REAL_MODELS.filter(({ file }) => !cannotLoad(file)).map(({ references, ...named }) => {
    const { model, texts } = readReferences(references);
    const { dimensions, maxTokens, pooling } = model;
    const family = {
      ...named,
      kind: "embedder",
      dimensions,
      maxTokens,
      pooling: pooling as "mean",
      tolerance: 1e-3,
    } as const;
    return { embedder: { family, texts, tokenLevel: [], mutations: [] }, file: modelPath(named.file) };
  });
}

/** Whether a family's weights are real ones, to which the narrower limits apply. */
export function isReal(family: string): boolean {
  return family.startsWith("minilm") || family === "splade_tiny";
}

/** The BERT cross-encoders, converted into a folder. */
export async function bertRerankers(directory: string): Promise<{ reranker: Reranker; file: string }[]> {
  const found = [
    await converted(directory, "tiny_cross_encoder", "BERT cross-encoder", fixture("tiny_cross_encoder")),
    await converted(directory, "tiny_classifier", "BERT, three labels", fixture("tiny_classifier")),
  ];
  if (minilmCheckpoint) {
    const checkpoint = join(directory, "checkpoint");
    cpSync(minilmCheckpoint, checkpoint, { recursive: true });
    addHead(checkpoint, read("minilm_cross_encoder").random!);
    found.push(await converted(directory, "minilm_cross_encoder", "MiniLM cross-encoder, random head", checkpoint));
  }
  return found;
}

function read(name: string): Stored {
  return JSON.parse(readFileSync(fixture(`${name}.json`), "utf8"));
}

async function converted(directory: string, name: string, title: string, checkpoint: string) {
  const file = join(directory, `${name}.gguf`);
  await convert(checkpoint, file);
  const { model: { maxTokens }, pairs } = read(name);
  const kind = { kind: "reranker", reranker: "cross-encoder" } as const;
  const mutations = Object.keys(pairs[0]!.wrong).map((mistake) => {
    const moved = pairs.map(({ logits, wrong }) => farthest(logits, wrong[mistake]!));
    const pair = moved.indexOf(Math.max(...moved));
    return { name: mistake, pair, logits: pairs[pair]!.wrong[mistake]! };
  });
  const reranker = { family: { ...kind, name, title, file, maxTokens, tolerance: 0.02 }, pairs, mutations };
  return { reranker, file };
}
