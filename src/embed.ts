/** One embed call: texts to tokens, tokens to rows, rows to vectors in the order of the texts. */
import { LlamaError } from "../ffi/errors.ts";
import { promptOf } from "./engine/fingerprint.ts";
import type { Engine } from "./engine/load.ts";
import { Meter } from "./progress.ts";
import type { EmbedOptions } from "./options.ts";
import { Sequences, textCutter } from "./text/sequences.ts";
import { type Items, mapInSlices } from "./slices.ts";
import { readTexts, warnOfTruncation } from "./text/read.ts";
import { tokenizeList } from "./text/token_lists.ts";
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
 * @param texts What are to be texts: they are checked here.
 */
export async function embedTexts(
  engine: Engine,
  nameOf: (index: number) => string,
  texts: readonly unknown[],
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
  const { unique, places } = await readTexts(texts, nameOf);
  const name = (i: number): string => nameOf(places.indexOf(i));
  const prompted: Items<string> = prompt ? { length: unique.length, at: (i) => prompt + unique[i]! } : unique;
  const ids = await tokenizeList(pool, prompted, "add", signal);
  const sequences = await Sequences.of(textCutter(ids, info.maxTokens, truncate, model.numbers, name));
  warnOfTruncation(sequences, info.maxTokens, engine.onLog);
  const vectors = await pool.encode(sequences, {
    signal,
    finish: (row, i) => {
      meter.tokens += sequences.lengths[i]!;
      return finish(name, i, row, info.dimensions, options);
    },
    onDone: (done) => meter.tell(done, unique.length),
  });
  const given = new Uint8Array(unique.length);
  return await mapInSlices(places, (i): Embedding => {
    const embedding = given[i] ? vectors[i]!.slice() : vectors[i]!;
    given[i] = 1;
    return { embedding, tokens: sequences.lengths[i]!, truncated: sequences.truncated[i] === 1 };
  });
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
  const vector = new Float32Array(row.length / width * dimensions);
  for (let from = 0, to = 0; from < row.length; from += width, to += dimensions) {
    const part = vector.subarray(to, to + dimensions);
    part.set(row.subarray(from, from + dimensions));
    if (wanted) normalize(part);
  }
  return vector;
}
