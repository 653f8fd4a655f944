/** Embeds texts: texts to tokens, tokens to rows, rows to vectors in the order of the texts. */
import { LlamaError } from "../ffi/errors.ts";
import { promptOf } from "./engine/fingerprint.ts";
import type { Engine } from "./engine/load.ts";
import { ProgressReporter } from "./progress.ts";
import type { EmbedOptions } from "./options.ts";
import { Sequences, type SplitOptions, textSplitter } from "./text/sequences.ts";
import { forEachInSlices, type Items, mapInSlices } from "./slices.ts";
import { readTexts, warnOfTruncation } from "./text/read.ts";
import { boundOf, tokenizeList } from "./text/token_lists.ts";
import { isFiniteVector, normalize } from "./vectors.ts";

/** Why a model embeds nothing, by how it ranks, and what to do. */
const NO_EMBEDDER = {
  "cross-encoder": "this model scores pairs of texts and gives no vectors; use rerank, or load an embedding model",
  "yes-no": "this file is a causal language model that names no pooling, so it is no embedding model; pass pooling: " +
    '"last" or "mean" to Llama.load if it was trained as one, or load an embedding model',
} as const;

/** The vector of a text, and what became of the text. */
export interface Embedding {
  /** The vector. */
  readonly embedding: Float32Array;
  /** Tokens that went into the model, special ones included. */
  readonly tokens: number;
  /** Whether the text was longer than the model takes, so that its end (or start) is not in the vector. */
  readonly truncated: boolean;
}

/**
 * Embeds texts; equal ones are computed once.
 *
 * @param nameOf The argument's name of a text by its index, for messages.
 * @param texts They are checked here.
 * @returns A vector for each text, in their order.
 * @throws {LlamaError} `model-unsupported` when the model scores pairs, `non-finite` when a vector has NaN or infinity.
 */
export async function embedTexts(
  engine: Engine,
  nameOf: (index: number) => string,
  texts: readonly unknown[],
  options: EmbedOptions & Pick<SplitOptions, "tooLong">,
): Promise<Embedding[]> {
  const { info, model, pool } = engine;
  if (info.reranker !== "cosine") {
    throw new LlamaError("model-unsupported", `Cannot embed: ${NO_EMBEDDER[info.reranker]}`);
  }
  warnOfCut(engine, options.dimensions);
  const prompt = promptOf(engine, options);
  const { signal, onProgress, truncate = "end", tooLong } = options;
  const progress = new ProgressReporter(onProgress);
  const { unique, inverse } = await readTexts(texts, nameOf);
  const name = (i: number): string => nameOf(inverse.indexOf(i));
  const prompted: Items<string> = prompt ? { length: unique.length, at: (i) => prompt + unique[i]! } : unique;
  const ids = await tokenizeList(pool, prompted, "add", signal, boundOf(info.maxTokens, truncate));
  await refusePrompt(engine, prompt, ids, signal);
  const sequences = await Sequences.of(
    textSplitter(ids, model.numbers, { limit: info.maxTokens, truncate, name, tooLong }),
  );
  progress.tokenized();
  warnOfTruncation(sequences, info.maxTokens, engine.warnings);
  const copies = new Uint32Array(unique.length);
  for (const i of inverse) copies[i]!++;
  let done = 0; // of the caller's texts: equal ones are computed once, and are done together
  const vectors = await pool.encode(sequences, {
    signal,
    nameOf: name,
    onStart: () => progress.begun(),
    finish: (row, i) => {
      done += copies[i]!;
      progress.tokens += sequences.lengths[i]!;
      checkFinite(row, () => `embed ${name(i)}`);
      return vectorOf(row, info.dimensions, options);
    },
    onDone: () => progress.report(done, inverse.length),
  });
  const returned = new Uint8Array(unique.length);
  return await mapInSlices(inverse, (i): Embedding => {
    const embedding = returned[i] ? vectors[i]!.slice() : vectors[i]!; // equal texts get vectors of their own
    returned[i] = 1;
    return { embedding, tokens: sequences.lengths[i]!, truncated: sequences.truncated[i] === 1 };
  });
}

/** Tokens that a UTF-16 unit of a prompt makes at most, with room for special ones: a byte each, after normalisation. */
const TOKENS_PER_UNIT = 4;

/**
 * Refuses a prompt that leaves no room for a text: vectors of all texts would be the same.
 *
 * The prompt is counted only where it may be too long, and some text is: a query must not wait for that.
 *
 * @throws {RangeError} naming prompt, its tokens and the limit.
 */
async function refusePrompt(
  { info: { maxTokens }, pool }: Engine,
  prompt: string,
  ids: Items<Int32Array>,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (prompt.length * TOKENS_PER_UNIT < maxTokens) return;
  let longest = 0;
  await forEachInSlices(ids.length, (i) => void (longest = Math.max(longest, ids.at(i)!.length)));
  if (longest <= maxTokens) return;
  const alone = await tokenizeList(pool, [prompt], "add", signal);
  const count = alone.at(0)!.length;
  if (count < maxTokens) return;
  throw new RangeError(
    `Cannot embed with this prompt: it has ${count} tokens, the limit is ${maxTokens}, and no text has room beside it; ` +
      "shorten the prompt",
  );
}

/** Warns of vectors that are cut to fewer dimensions where the model was not trained for that. */
function warnOfCut({ info, matryoshka, warnings }: Engine, dimensions: number | undefined): void {
  if (matryoshka !== false || dimensions === undefined || dimensions >= info.dimensions) return;
  warnings.warnOnce(
    "dimensions",
    `dimensions: ${dimensions} cuts vectors of a model that was not trained for it (Matryoshka): they lose more than their ` +
      "size tells; leave it out, or use toInt8 or toBinary",
  );
}

/**
 * Refuses a row with NaN or infinity.
 *
 * @param action What could not be done, as in "Cannot <action>".
 * @throws {LlamaError} `non-finite`.
 */
export function checkFinite(row: Float32Array, action: () => string): void {
  if (isFiniteVector(row)) return;
  throw new LlamaError("non-finite", `Cannot ${action()}: the model gave NaN or infinity for it`);
}

/** Truncates and normalises a row of `width` numbers, or the rows of all tokens. */
function vectorOf(row: Float32Array, width: number, options: EmbedOptions): Float32Array {
  const { dimensions = width, normalize: wanted = true } = options;
  if (row.length === width) {
    const vector = row.slice(0, dimensions);
    if (wanted) normalize(vector);
    return vector;
  }
  const vector = new Float32Array(row.length / width * dimensions);
  for (let from = 0, to = 0; from < row.length; from += width, to += dimensions) {
    const part = vector.subarray(to, to + dimensions);
    part.set(row.subarray(from, from + dimensions));
    if (wanted) normalize(part);
  }
  return vector;
}
