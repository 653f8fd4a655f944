/** One embed call: texts to tokens, tokens to rows, rows to vectors in the order of the texts. */
import { LlamaError } from "../ffi/errors.ts";
import type { Engine } from "./engine.ts";
import { Meter } from "./meter.ts";
import type { EmbedOptions } from "./options.ts";
import { forEachInSlices } from "./slices.ts";
import { fitTokens, type Sequence } from "./tokens.ts";
import { isFiniteVector, normalize } from "./vectors.ts";

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
 */
export async function embedTexts(
  engine: Engine,
  nameOf: (index: number) => string,
  texts: readonly string[],
  options: EmbedOptions,
): Promise<Embedding[]> {
  const { info, model, pool } = engine;
  if (info.reranker !== "cosine") {
    const remedy = info.reranker === "yes-no" ? ", or pass pooling to Llama.load" : "";
    throw new LlamaError("model-unsupported", `Cannot embed: this model scores pairs of texts; use rerank${remedy}`);
  }
  const prompt = promptOf(engine, options);
  const { signal, onProgress, truncate = "end" } = options;
  const meter = new Meter(onProgress);
  const { unique, places } = await distinct(texts);
  const name = (i: number): string => nameOf(texts.indexOf(unique[i]!));
  const ids = await pool.tokenize(prompt ? unique.map((text) => prompt + text) : unique, { signal });
  const sequences: Sequence[] = [];
  await forEachInSlices(ids.length, (i) => {
    sequences.push(fitTokens(() => name(i), ids[i]!, info.maxTokens, truncate, model.numbers));
  });
  warnOfTruncation(engine, sequences);
  const vectors = await pool.encode(sequences, {
    signal,
    finish: (row, i) => {
      meter.tokens += sequences[i]!.ids.length;
      return finish(name, i, row, info.dimensions, options);
    },
    onDone: (done) => meter.tell(done, unique.length),
  });
  const embeddings: Embedding[] = [];
  const given = new Uint8Array(unique.length);
  await forEachInSlices(places.length, (at) => {
    const i = places[at]!;
    const embedding = given[i] ? vectors[i]!.slice() : vectors[i]!;
    given[i] = 1;
    embeddings.push({ embedding, tokens: sequences[i]!.ids.length, truncated: sequences[i]!.truncated });
  });
  return embeddings;
}

/** What goes before each text: the option's, or the model's own for the kind of text. */
export function promptOf({ prompts }: Pick<Engine, "prompts">, { prompt, inputType }: EmbedOptions): string {
  if (inputType === undefined) return prompt ?? "";
  if (prompt !== undefined) throw new RangeError("Cannot embed with both prompt and inputType: pass one of them");
  if (prompts) return prompts[inputType] ?? "";
  throw new RangeError(
    `Cannot embed with inputType "${inputType}": the prompts are known only of models of the catalogue, and of those ` +
      "that convert() made of a checkpoint with prompts; pass prompt",
  );
}

/** The distinct texts, and for each text the index of its equal among them. */
export async function distinct(texts: readonly string[]): Promise<{ unique: string[]; places: number[] }> {
  const unique: string[] = [];
  const places: number[] = [];
  const seen = new Map<string, number>();
  await forEachInSlices(texts.length, (i) => {
    const text = texts[i]!;
    let place = seen.get(text);
    if (place === undefined) seen.set(text, place = unique.push(text) - 1);
    places.push(place);
  });
  return { unique, places };
}

/** One warning a call, to the log, if any of its sequences was cut. */
export function warnOfTruncation({ info, onLog }: Engine, sequences: readonly Sequence[]): void {
  const count = sequences.filter(({ truncated }) => truncated).length;
  if (count === 0 || !onLog) return;
  const texts = count === 1 ? "1 text was" : `${count} texts were`;
  onLog({ level: "warn", message: `${texts} truncated to ${info.maxTokens} tokens` });
}

/** Never a result with NaN or infinity in it. */
export function checkFinite(row: Float32Array, action: () => string): void {
  if (isFiniteVector(row)) return;
  throw new LlamaError("non-finite", `Cannot ${action()}: the model gave NaN or infinity for it`);
}

function finish(
  name: (i: number) => string,
  i: number,
  row: Float32Array,
  width: number,
  options: EmbedOptions,
): Float32Array {
  const { dimensions = width, normalize: wanted = true } = options;
  checkFinite(row, () => `embed ${name(i)}`);
  // The row is nobody else's: a copy of each would double what a long list takes.
  const vector = dimensions === width ? row : new Float32Array(row.length / width * dimensions);
  for (let from = 0, to = 0; from < row.length; from += width, to += dimensions) {
    const part = vector.subarray(to, to + dimensions);
    if (vector !== row) part.set(row.subarray(from, from + dimensions));
    if (wanted) normalize(part);
  }
  return vector;
}
