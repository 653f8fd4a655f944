/** How near a file of each common type comes to the original model, and to its own weights computed in f32. */
import { join } from "node:path";
import { quantize, type WeightType } from "../convert.ts";
import { realModels } from "../tests/support/bert_families.ts";
import {
  compareVectors,
  type Embedder,
  familyFile,
  type FamilyText,
  loadFamily,
  readFamilies,
  vectorsOf,
} from "../tests/support/families.ts";

/** Files of the types that people download, and the families that they are tried with; the first two have real weights. */
const TYPES = ["f16", "bf16", "q8_0", "q6_k", "q5_k_m", "q4_k_m", "q4_0"] as const satisfies readonly WeightType[];
const FAMILIES = ["minilm", "splade_tiny", "xlm_roberta_mean", "qwen3_last"];

/** How far vectors are from others. */
export interface Near {
  /** The smallest cosine of a text. */
  readonly cosine: number;
  /** The largest difference of a number of a vector. */
  readonly maxAbs: number;
}

/** A family with one type of weights. */
export interface TypeRow {
  readonly family: string;
  readonly weights: string;
  /** To the original's vectors. */
  readonly original: Near;
  /** To the vectors of the same weights, dequantised to f32: by our kernels, and by llama.cpp's own. */
  readonly ours: Near;
  readonly stock: Near;
  /** Whether ours is farther than half of llama.cpp's. */
  readonly beyond: boolean;
}

/** The processor's products of bf16 round activations to bf16, as llama.cpp's do: nearer than those is none promised. */
const ROUNDED = "bf16";
const EXACT = 1e-6; // of f32's vectors themselves: what is below is as near as can be told

/** Measures every family with every type; files are written to the directory. */
export async function typeRows(directory: string): Promise<TypeRow[]> {
  const all = readFamilies().embedders.map((embedder) => ({ embedder, file: familyFile(embedder.family) }));
  const rows: TypeRow[] = [];
  for (const name of FAMILIES) {
    const found = [...realModels(), ...all].find(({ embedder }) => embedder.family.name === name);
    if (!found) continue; // a real model that is not in models/
    for (const type of TYPES) rows.push(await rowOf(found.embedder, found.file, type, directory));
  }
  return rows;
}

async function rowOf(embedder: Embedder, f32: string, type: WeightType, directory: string): Promise<TypeRow> {
  const file = join(directory, `${embedder.family.name} ${type}.gguf`);
  const dequantised = join(directory, `${embedder.family.name} ${type} in f32.gguf`);
  await quantize(f32, file, type);
  await quantize(file, dequantised, "f32");
  const [own, ours, stock] = [
    await vectors(embedder, dequantised),
    await vectors(embedder, file),
    await vectors(embedder, file, false),
  ];
  const wanted = embedder.texts.map((text, i): FamilyText => ({ ...text, vector: own[i]! }));
  const [near, far] = [nearness(wanted, ours), nearness(wanted, stock)];
  return {
    family: embedder.family.title,
    weights: type,
    original: nearness(embedder.texts, ours),
    ours: near,
    stock: far,
    beyond: type !== ROUNDED && !(near.maxAbs <= Math.max(EXACT, far.maxAbs / 2)), // not within, which NaN is not either
  };
}

async function vectors(embedder: Embedder, file: string, kernels = true): Promise<Float32Array[]> {
  await using llama = await loadFamily(embedder, file, { kernels, onLog: () => {} });
  return await vectorsOf(llama, embedder.texts);
}

/** Rounded as it is printed, so that a repeated run changes the results only where a figure changes. */
function nearness(wanted: readonly FamilyText[], found: readonly Float32Array[]): Near {
  const { least, off } = compareVectors(wanted, found);
  return { cosine: Number(least.toFixed(7)), maxAbs: Number(off.toPrecision(2)) };
}
