/** Computes the vectors of rows: leaves out what cannot be embedded, and finds by halving which text a call failed for. */
import type { Embedding, Llama } from "@llamasaur/llamasaur";
import type { EmbedSettings, Key } from "./generation.ts";
import type { SourceRow } from "./rows.ts";

/** A vector of a part of a row's text. */
export interface Chunk {
  readonly embedding: Float32Array;
  readonly tokens: number;
  readonly truncated: boolean;
  /** Code points. */
  readonly start: number;
  readonly end: number;
}

/** A row with its vectors. */
export interface ComputedRow {
  readonly key: Key;
  readonly hash: string;
  readonly chunks: readonly Chunk[];
}

/** A row that has none. */
export interface FailedRow {
  readonly key: Key;
  readonly hash: string | null;
  /** Which chunk of it failed, if not the whole. */
  readonly chunk: number | undefined;
  readonly code: "empty" | "too-long" | "non-finite" | "crash" | "refused";
  /** Why, without a word of the text. */
  readonly message: string;
}

/** What became of rows. */
export interface Computed {
  readonly rows: readonly ComputedRow[];
  readonly failures: readonly FailedRow[];
}

/** What computes; a `Llama` does. */
export type Embedder = Pick<Llama, "countTokens" | "embedDetailed" | "info">;

/** Computes the vectors of rows. */
export async function compute(
  llama: Embedder,
  { truncate, ...settings }: EmbedSettings,
  rows: readonly SourceRow[],
  signal: AbortSignal,
): Promise<Computed> {
  const failures: FailedRow[] = [];
  const fail = ({ key, hash }: SourceRow, code: FailedRow["code"], message: string): void => {
    failures.push({ key, hash, chunk: undefined, code, message });
  };
  let good = rows.filter((row) => row.text || fail(row, "empty", "it has no text"));
  if (truncate === "error") {
    const { maxTokens } = llama.info;
    const prompt = settings.inputType === undefined ? "" : llama.info.prompts?.[settings.inputType] ?? "";
    const counts = await llama.countTokens(good.map(({ text }) => prompt + text!));
    good = good.filter((row, i) => {
      return counts[i]! <= maxTokens ||
        fail(row, "too-long", `it has ${counts[i]} tokens, and the model takes ${maxTokens}`);
    });
  }
  const options = { ...settings, truncate: truncate === "error" ? "end" as const : truncate, signal };
  const embedded = await embedEach(llama, good.map(({ text }) => text!), options);
  const computed: ComputedRow[] = [];
  for (const [i, row] of good.entries()) {
    const made = embedded[i];
    if (made === undefined) {
      fail(row, "non-finite", "the model gave NaN or infinity for it");
      continue;
    }
    const { embedding, tokens, truncated } = made;
    const end = codePoints(row.text!);
    computed.push({ key: row.key, hash: row.hash!, chunks: [{ embedding, tokens, truncated, start: 0, end }] });
  }
  return { rows: computed, failures };
}

/** Embeds texts; undefined for one whose vector is not finite. A call tells only that there is one, so it is halved. */
async function embedEach(
  llama: Embedder,
  texts: readonly string[],
  options: Parameters<Llama["embedDetailed"]>[1],
): Promise<(Embedding | undefined)[]> {
  if (texts.length === 0) return [];
  try {
    return await llama.embedDetailed(texts, options);
  } catch (error) {
    if ((error as { readonly code?: string }).code !== "non-finite") throw error;
    if (texts.length === 1) return [undefined];
  }
  const half = texts.length >> 1;
  return [
    ...await embedEach(llama, texts.slice(0, half), options),
    ...await embedEach(llama, texts.slice(half), options),
  ];
}

function codePoints(text: string): number {
  let count = 0;
  for (let i = 0; i < text.length; i++) if ((text.charCodeAt(i) & 0xfc00) !== 0xdc00) count++;
  return count;
}
