/** Ranks documents: by the model's own scores of pairs where it has them, else by the cosine of vectors. */
import { LlamaError } from "../ffi/errors.ts";
import { copyList, LONGEST_REASON, printable } from "./check.ts";
import { checkFinite, embedTexts } from "./embed.ts";
import type { Engine } from "./engine/load.ts";
import { ProgressReporter } from "./progress.ts";
import { type RerankOptions, TEXT_OF_OBJECTS } from "./options.ts";
import { longQuery, pairSplitter, withoutSpecials } from "./text/pairs.ts";
import { type LabelScore, type Score, scoreOf } from "./scores.ts";
import { DEFAULT_INSTRUCTION, fillTemplate, parseTemplate, withInstruction } from "./text/templates.ts";
import { Sequences, type SplitOptions, type Splitter, textSplitter } from "./text/sequences.ts";
import { type Items, mapInSlices, sortInSlices } from "./slices.ts";
import { readTexts, warnOfTruncation } from "./text/read.ts";
import { boundOf, tokenizeList } from "./text/token_lists.ts";
import type { Special } from "./text/tokens.ts";
import { dot, normalize } from "./vectors.ts";

/** A document's place in a ranking. */
export interface Ranked<T> {
  /** The document's index in the list that was given. */
  readonly index: number;
  /** How well it answers the query: 0 to 1 from a model that scores pairs, else the cosine, −1 to 1. */
  readonly score: number;
  /** The score before the logistic function: sort by it, since scores near 1 run together. Of a cosine the score itself. */
  readonly logit: number;
  /** The document as it was given. */
  readonly document: T;
  /** Tokens that went into the model for it: of the pair, of all its windows; by vectors its own. */
  readonly tokens: number;
  /** Whether it was longer than the model takes, so that its end (or start) is not in the score. */
  readonly truncated: boolean;
  /** Every label's score, for models with several. */
  readonly labels?: readonly LabelScore[];
}

// In place of an index.
const NONE = -1;

type Options = Pick<RerankOptions<unknown>, "signal" | "instruction" | "label">;

/** How documents become sequences, and a row becomes a score. */
interface Plan {
  readonly splitter: Splitter;
  /** How many numbers of a row are kept until all documents are scored. */
  readonly width: number;
  /** Takes from a row the numbers to keep. */
  readonly keep: (row: Float32Array) => ArrayLike<number>;
  readonly score: (kept: ArrayLike<number>) => Score;
}

/**
 * Ranks documents.
 *
 * @param given The documents; the list is copied and its items are checked here.
 * @returns The best `topN` documents, best first; equal scores keep the order of the list.
 * @throws As `Llama.rerank`.
 */
export async function rankDocuments<T>(
  engine: Engine,
  query: string,
  given: readonly T[],
  options: RerankOptions<T>,
): Promise<Ranked<T>[]> {
  const documents = copyList("documents", given, options.text !== undefined) as T[];
  if (documents.length === 0) return [];
  const read = options.text ? { textOf: options.text } : { ofObject: TEXT_OF_OBJECTS };
  const { unique, inverse } = await readTexts(documents, (i) => `documents[${i}]`, read);
  const { signal, onProgress, truncate = "end", topN = Infinity } = options;
  const progress = new ProgressReporter(onProgress);
  const { maxTokens, reranker } = engine.info;
  const name = (i: number): string => `documents[${inverse.indexOf(i)}]`;
  const planOf = reranker === "cosine" ? planCosine : planPairs;
  const plan = await planOf(engine, query, unique, options, { limit: maxTokens, truncate, name });
  const sequences = await Sequences.of(plan.splitter);
  const empty = sequences.lengths.indexOf(0);
  if (empty >= 0) throw nothing(name(sequences.textOf[empty]!));
  warnOfTruncation(sequences, maxTokens, engine.warnings);
  progress.tokenized();
  const best = new BestWindows(plan, sequences);
  const none = new Float32Array();
  await engine.pool.encode(sequences, {
    signal,
    nameOf: (i) => name(sequences.textOf[i]!),
    onStart: () => progress.begun(),
    finish: (row, i) => {
      progress.tokens += sequences.lengths[i]!;
      checkFinite(row, () => `rank ${name(sequences.textOf[i]!)}`);
      best.add(i, row);
      return none;
    },
    onDone: (done) => progress.report(done, sequences.length),
  });
  const { logits } = best;
  // Numbers are sorted, and results are made only of those that are returned.
  const order = await mapInSlices(inverse, (_, index) => index);
  const sorted = await sortInSlices(order, (a, b) => logits[inverse[b]!]! - logits[inverse[a]!]! || a - b);
  const wanted = Math.min(topN, sorted.length);
  return await mapInSlices({ length: wanted, at: (i) => sorted[i] }, (index): Ranked<T> => {
    const document = inverse[index]!;
    const truncated = sequences.truncated[document] === 1;
    const tokens = best.tokens[document]!;
    return { index, ...best.score(document), tokens, truncated, document: documents[index]! };
  });
}

/** The error for a sequence without tokens: of a document alone, or of a pair of which nothing has any. */
function nothing(name: string): RangeError {
  return new RangeError(
    `Cannot rank ${name}: it is empty with all that goes around it, and this model has no special token to stand for nothing`,
  );
}

/** Each document's best window: the first one with the largest logit. A document that is not split is its only window. */
class BestWindows {
  /** The best logit of each document. */
  readonly logits: Float64Array;
  /** Tokens of all windows of each document. */
  readonly tokens: Float64Array;
  /** Index of each document's best sequence; `NONE` before its first. */
  readonly #sequence: Int32Array;
  readonly #kept: Float64Array;
  readonly #plan: Plan;
  readonly #sequences: Sequences;

  constructor(plan: Plan, sequences: Sequences) {
    const { length } = plan.splitter;
    this.logits = new Float64Array(length).fill(-Infinity);
    this.tokens = new Float64Array(length);
    this.#sequence = new Int32Array(length).fill(NONE);
    this.#kept = new Float64Array(length * plan.width);
    this.#plan = plan;
    this.#sequences = sequences;
  }

  /** Takes the row of a sequence; they come in any order. */
  add(sequence: number, row: Float32Array): void {
    const document = this.#sequences.textOf[sequence]!;
    this.tokens[document]! += this.#sequences.lengths[sequence]!;
    const kept = this.#plan.keep(row);
    const { logit } = this.#plan.score(kept);
    const [best, most] = [this.#sequence[document]!, this.logits[document]!];
    if (best !== NONE && (logit < most || logit === most && best < sequence)) return;
    this.#sequence[document] = sequence;
    this.logits[document] = logit;
    this.#kept.set(kept, document * this.#plan.width);
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
  { signal, instruction, label }: Options,
  split: SplitOptions,
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
    embedTexts(engine, () => "query", [query], {
      signal,
      truncate: "error",
      prompt,
      tooLong: (tokens) => longQuery(tokens, info.maxTokens, "are more than the model takes"),
    }),
    tokenizeList(pool, texts, "add", signal, boundOf(split.limit, split.truncate)),
  ]);
  return {
    splitter: textSplitter(found, model.numbers, split),
    width: 1,
    keep: (row) => {
      normalize(row);
      return [dot(wanted!.embedding, row)];
    },
    score: ({ 0: product }) => {
      const cosine = Math.max(-1, Math.min(1, product!)); // rounding leaves the range
      return { logit: cosine, score: cosine };
    },
  };
}

async function planPairs(
  engine: Engine,
  query: string,
  documents: readonly string[],
  options: Options,
  split: SplitOptions,
): Promise<Plan> {
  const { head, row } = engine;
  const yes = head.labels.indexOf("yes");
  const wanted = options.label === undefined ? Math.max(0, yes) : head.labels.indexOf(options.label);
  if (wanted < 0) throw noLabel(options.label!, head.labels);
  const splitPairs = engine.template === undefined ? splitSpecials : splitTemplate;
  return {
    splitter: await splitPairs(engine, query, documents, options, split),
    width: row.width,
    keep: (row) => row,
    score: (row) => scoreOf(row, head, wanted),
  };
}

/** Pairs joined by special tokens, as cross-encoders take them. */
async function splitSpecials(
  { model, pair, pool }: Engine,
  query: string,
  documents: readonly string[],
  { signal, instruction }: Options,
  split: SplitOptions,
): Promise<Splitter> {
  if (instruction !== undefined) withInstruction(undefined, instruction);
  const [wanted, found] = await Promise.all([
    tokenizeList(pool, [query], "add", signal, boundOf(split.limit, "error")),
    tokenizeList(pool, documents, "add", signal, boundOf(split.limit, split.truncate)),
  ]);
  return pairSplitter(
    withoutSpecials(wanted.at(0), model.numbers),
    found,
    pair,
    model.numbers,
    split,
    wanted.isPart(0),
  );
}

/** Pairs in the model's template, as causal models that rank take them. */
async function splitTemplate(
  { model, pool, sharesPrefix, template }: Engine,
  query: string,
  documents: readonly string[],
  { signal, instruction }: Options,
  split: SplitOptions,
): Promise<Splitter> {
  const tokenize = (list: readonly string[], special: Special) => pool.tokenize(list, special, { signal });
  const tokenizeAll = (list: Items<string>, special: Special) => tokenizeList(pool, list, special, signal);
  // The instruction is a placeholder first: its text may spell special tokens, too.
  const frame = instruction === undefined ? template! : withInstruction(template, "{instruction}");
  const parts = await parseTemplate(frame, tokenize);
  const { bos, addBos } = model.numbers;
  const first = parts[0];
  if (addBos && bos >= 0 && !(first && "token" in first && first.token === bos)) parts.unshift({ token: bos });
  const values = { query, instruction: instruction ?? DEFAULT_INSTRUCTION };
  const splitter = await fillTemplate(parts, values, documents, split, tokenize, tokenizeAll);
  if (sharesPrefix) return splitter;
  return {
    ...splitter,
    sequence: (i, window) => {
      const { ids, truncated } = splitter.sequence(i, window);
      return { ids, truncated };
    },
  };
}

function noLabel(label: string, labels: readonly string[]): RangeError {
  // Names of a file, as many as it likes.
  const list = printable(labels.map((one) => JSON.stringify(one)).join(", "), undefined, LONGEST_REASON);
  const asked = printable(JSON.stringify(label));
  return new RangeError(`Cannot rank by the label ${asked}: the model has ${list ? `only ${list}` : "no labels"}`);
}
