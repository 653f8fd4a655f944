/** One rerank call: by the model's own scores of pairs where it has them, else by the cosine of vectors. */
import { LlamaError } from "../ffi/errors.ts";
import { copyList } from "./check.ts";
import { checkFinite, embedTexts } from "./embed.ts";
import type { Engine } from "./engine/load.ts";
import { Meter } from "./progress.ts";
import type { RerankOptions } from "./options.ts";
import { pairCutter, withoutSpecials } from "./text/pairs.ts";
import { type LabelScore, type Score, scoreOf } from "./scores.ts";
import { DEFAULT_INSTRUCTION, fillTemplate, parseTemplate, withInstruction } from "./text/templates.ts";
import { type Cutter, Sequences, textCutter } from "./text/sequences.ts";
import { type Items, mapInSlices, sortInSlices } from "./slices.ts";
import { readTexts, warnOfTruncation } from "./text/read.ts";
import { tokenizeList } from "./text/token_lists.ts";
import type { Special } from "./text/tokens.ts";
import { dot, normalize } from "./vectors.ts";

/** A document's place in a ranking. */
export interface Ranked<T> {
  /** The document's index in the list that was given. */
  readonly index: number;
  /** How well it answers the query: 0 to 1 from a model that scores pairs; else the cosine, −1 to 1. */
  readonly score: number;
  /** The number before it was made a score: what to sort by, since scores near 1 run together. */
  readonly logit: number;
  /** The document as it was given. */
  readonly document: T;
  /** Whether it was longer than the model takes, so that its end (or start) had no part in the score. */
  readonly truncated: boolean;
  /** What the model says of each label; only of models with several. */
  readonly labels?: readonly LabelScore[];
}

type Options = Pick<
  RerankOptions<unknown>,
  "signal" | "truncate" | "onProgress" | "instruction" | "label"
>;

/** The sequences of the documents, and how a row becomes a score. */
interface Plan {
  readonly cutter: Cutter;
  /** How many numbers of a sequence are kept until the scores are told. */
  readonly width: number;
  /** What is kept of a row. */
  readonly keep: (row: Float32Array) => ArrayLike<number>;
  readonly score: (kept: ArrayLike<number>) => Score;
}

/**
 * Ranks documents.
 *
 * @param given The list, of which a copy is made, and whose items are checked here.
 */
export async function rankDocuments<T>(
  engine: Engine,
  query: string,
  given: readonly T[],
  options: RerankOptions<T>,
): Promise<Ranked<T>[]> {
  const documents = copyList("documents", given, options.text !== undefined) as T[];
  if (documents.length === 0) return [];
  const { unique, places } = await readTexts(documents, (i) => `documents[${i}]`, options.text);
  const name = (i: number): string => `documents[${places.indexOf(i)}]`;
  const planOf = engine.info.reranker === "cosine" ? planCosine : planPairs;
  const plan = await planOf(engine, query, unique, options, name);
  const sequences = await Sequences.of(plan.cutter);
  warnOfTruncation(sequences, engine.info.maxTokens, engine.onLog);
  const { signal, onProgress, topN = Infinity } = options;
  const meter = new Meter(onProgress);
  const best = new Best(plan, sequences);
  const none = new Float32Array();
  await engine.pool.encode(sequences, {
    signal,
    finish: (row, i) => {
      meter.tokens += sequences.lengths[i]!;
      checkFinite(row, () => `rank ${name(sequences.owners[i]!)}`);
      best.see(row, i);
      return none;
    },
    onDone: (done) => meter.tell(done, sequences.length),
  });
  const { logits } = best;
  // Numbers are sorted, and results made of those that are asked for.
  const order = await mapInSlices(places, (_, index) => index);
  const sorted = await sortInSlices(order, (a, b) => logits[places[b]!]! - logits[places[a]!]! || a - b);
  const wanted = Math.min(topN, sorted.length);
  return await mapInSlices({ length: wanted, at: (i) => sorted[i] }, (index): Ranked<T> => {
    const place = places[index]!;
    const truncated = sequences.truncated[place] === 1;
    return { index, ...best.score(place), truncated, document: documents[index]! };
  });
}

/** What is known of each document's best sequence: its first of those with the largest logit. */
class Best {
  readonly logits: Float64Array;
  readonly #kept: Float64Array;
  /** Which sequence it is, and 1; 0 before the first. */
  readonly #seen: Uint32Array;
  readonly #plan: Plan;
  readonly #sequences: Sequences;

  constructor(plan: Plan, sequences: Sequences) {
    const { length } = plan.cutter;
    this.logits = new Float64Array(length);
    this.#kept = new Float64Array(length * plan.width);
    this.#seen = new Uint32Array(length);
    this.#plan = plan;
    this.#sequences = sequences;
  }

  /** Takes the row of a sequence; they come in any order. */
  see(row: Float32Array, sequence: number): void {
    const owner = this.#sequences.owners[sequence]!;
    const kept = this.#plan.keep(row);
    const { logit } = this.#plan.score(kept);
    const [before, most] = [this.#seen[owner]!, this.logits[owner]!];
    if (before > 0 && (logit < most || logit === most && before < sequence + 1)) return;
    this.#seen[owner] = sequence + 1;
    this.logits[owner] = logit;
    this.#kept.set(kept, owner * this.#plan.width);
  }

  score(document: number): Score {
    const { width, score } = this.#plan;
    return score(this.#kept.subarray(document * width, (document + 1) * width));
  }
}

async function planCosine(
  engine: Engine,
  query: string,
  documents: readonly string[],
  { signal, truncate = "end", instruction, label }: Options,
  name: (i: number) => string,
): Promise<Plan> {
  const { info, model, pool, prompts } = engine;
  if (info.pooling === "none") {
    throw new LlamaError(
      "model-unsupported",
      "Cannot rank: with pooling none the model gives a vector a token, not one a text; pass another pooling to Llama.load",
    );
  }
  if (label !== undefined) throw noLabel(label, []);
  const prompt = instruction === undefined ? prompts?.query : withInstruction(prompts?.query, instruction);
  const before = prompts?.document ?? "";
  const texts: Items<string> = { length: documents.length, at: (i) => before + documents[i]! };
  const [[wanted], found] = await Promise.all([
    // What is cut is never the query.
    embedTexts(engine, () => "query", [query], { signal, truncate: "error", prompt }),
    tokenizeList(pool, texts, "add", signal),
  ]);
  return {
    cutter: textCutter(found, info.maxTokens, truncate, model.numbers, name),
    width: 1,
    keep: (row) => {
      normalize(row);
      return [dot(wanted!.embedding, row)];
    },
    score: ({ 0: cosine }) => ({ logit: cosine!, score: cosine! }),
  };
}

async function planPairs(
  engine: Engine,
  query: string,
  documents: readonly string[],
  options: Options,
  name: (i: number) => string,
): Promise<Plan> {
  const { head, width } = engine;
  const yes = head.labels.indexOf("yes");
  const wanted = options.label === undefined ? Math.max(0, yes) : head.labels.indexOf(options.label);
  if (wanted < 0) throw noLabel(options.label!, head.labels);
  return {
    cutter: await pairsOf(engine, query, documents, options, name),
    width,
    keep: (row) => row,
    score: (row) => scoreOf(row, head, wanted),
  };
}

async function pairsOf(
  { info, model, pair, pool, shares, template }: Engine,
  query: string,
  documents: readonly string[],
  { signal, truncate = "end", instruction }: Options,
  name: (i: number) => string,
): Promise<Cutter> {
  if (template === undefined) {
    if (instruction !== undefined) withInstruction(undefined, instruction);
    const [[wanted], found] = await Promise.all([
      pool.tokenize([query], "add", { signal }),
      tokenizeList(pool, documents, "add", signal),
    ]);
    const first = withoutSpecials(wanted!, model.numbers);
    return pairCutter(first, found, pair, info.maxTokens, truncate, model.numbers, name);
  }
  const tokenize = (list: readonly string[], special: Special) => pool.tokenize(list, special, { signal });
  const tokenizeAll = (list: Items<string>, special: Special) => tokenizeList(pool, list, special, signal);
  // Put in as a placeholder first: an instruction may spell special tokens, too.
  const frame = instruction === undefined ? template : withInstruction(template, "{instruction}");
  const stretches = await parseTemplate(frame, tokenize);
  const { bos, addBos } = model.numbers;
  const first = stretches[0];
  if (addBos && bos >= 0 && !(first && "token" in first && first.token === bos)) stretches.unshift({ token: bos });
  const values = { query, instruction: instruction ?? DEFAULT_INSTRUCTION };
  const { maxTokens } = info;
  const cutter = await fillTemplate(stretches, values, documents, maxTokens, truncate, name, tokenize, tokenizeAll);
  if (shares) return cutter;
  return {
    ...cutter,
    cut: (i, piece) => {
      const { ids, truncated } = cutter.cut(i, piece);
      return { ids, truncated };
    },
  };
}

function noLabel(label: string, labels: readonly string[]): RangeError {
  const list = labels.map((one) => JSON.stringify(one)).join(", ");
  return new RangeError(
    `Cannot rank by the label ${JSON.stringify(label)}: the model has ${list ? `only ${list}` : "no labels"}`,
  );
}
