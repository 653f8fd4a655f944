/** One embed call: texts to tokens, tokens to rows, rows to vectors in the order of the texts. */
import { LlamaError } from "../ffi/errors.ts";
import { checkText } from "./check.ts";
import type { Engine } from "./engine/load.ts";
import { Meter } from "./progress.ts";
import type { EmbedOptions } from "./options.ts";
import { Sequences, textCutter } from "./text/sequences.ts";
import { forEachInSlices, type Items, mapInSlices } from "./slices.ts";
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
  warnOfTruncation(engine, sequences);
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

/**
 * Checks texts, and gives the distinct ones and for each text the index of its equal among them.
 *
 * @param nameOf The argument's name of a text by its index, for messages.
 * @param textOf What the text of an item is.
 */
export async function readTexts<T>(
  items: readonly T[],
  nameOf: (index: number) => string,
  textOf: (item: T) => unknown = (item) => item,
): Promise<{ unique: string[]; places: number[] }> {
  const unique: string[] = [];
  const places: number[] = [];
  const seen = new Map<string, number>();
  await forEachInSlices(items.length, (i) => {
    const given = textOf(items[i]!);
    const text = typeof given === "string" && given.isWellFormed() ? given : checkText(nameOf(i), given);
    let place = seen.get(text);
    if (place === undefined) seen.set(text, place = unique.push(text) - 1);
    places.push(place);
  });
  return { unique, places };
}

/** One warning a call, to the log, if any of its texts was cut. */
export function warnOfTruncation({ info, onLog }: Engine, { truncated }: Sequences): void {
  if (!onLog) return;
  const count = truncated.reduce((sum, one) => sum + one, 0);
  if (count === 0) return;
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
  const vector = new Float32Array(row.length / width * dimensions);
  for (let from = 0, to = 0; from < row.length; from += width, to += dimensions) {
    const part = vector.subarray(to, to + dimensions);
    part.set(row.subarray(from, from + dimensions));
    if (wanted) normalize(part);
  }
  return vector;
}
