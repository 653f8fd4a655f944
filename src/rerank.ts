/** One rerank call: by the model's own scores of pairs where it has them, else by the cosine of vectors. */
import { LlamaError } from "../ffi/errors.ts";
import { checkList, checkText } from "./check.ts";
import { checkFinite, distinct, embedTexts, warnOfTruncation } from "./embed.ts";
import type { Engine } from "./engine.ts";
import { Meter } from "./meter.ts";
import type { RerankOptions } from "./options.ts";
import { joinPair, withoutSpecials } from "./pairs.ts";
import type { Text } from "./pool.ts";
import { type LabelScore, type Score, scoreOf } from "./scores.ts";
import { DEFAULT_INSTRUCTION, fillTemplate, parseTemplate, withInstruction } from "./templates.ts";
import { fitTokens, type Sequence, windowsOf } from "./tokens.ts";
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

/** The sequences of each document (several for windows), and how a row becomes a score. */
interface Plan {
  readonly groups: readonly (readonly Sequence[])[];
  readonly score: (row: Float32Array) => Score;
  /** What is done to a row as it comes, so that the event loop is not held at the end. */
  readonly finish?: (row: Float32Array) => void;
}

/** Checks documents and gives a copy of the list, so that a later change to it does no harm, and their texts. */
export function readDocuments<T>(
  documents: readonly T[],
  { text }: Pick<RerankOptions<T>, "text">,
): { given: T[]; texts: string[] } {
  const given: T[] = [];
  const texts = checkList("documents", documents, (document, name) => {
    given.push(document as T);
    return checkText(name, text ? text(document as T) : document);
  });
  return { given, texts };
}

/** Ranks documents, whose texts are given beside them. */
export async function rankDocuments<T>(
  engine: Engine,
  query: string,
  documents: readonly T[],
  texts: readonly string[],
  options: RerankOptions<T>,
): Promise<Ranked<T>[]> {
  const { unique, places } = await distinct(texts);
  const name = (i: number): string => `documents[${texts.indexOf(unique[i]!)}]`;
  const planOf = engine.info.reranker === "cosine" ? planCosine : planPairs;
  const { groups, score, finish } = await planOf(engine, query, unique, options, name);
  const sequences = groups.flat();
  const owners = groups.flatMap((group, i) => Array<number>(group.length).fill(i));
  warnOfTruncation(engine, sequences);
  const { signal, onProgress } = options;
  const meter = new Meter(onProgress);
  const rows = await engine.pool.encode(sequences, {
    signal,
    finish: (row, i) => {
      meter.tokens += sequences[i]!.ids.length;
      checkFinite(row, () => `rank ${name(owners[i]!)}`);
      finish?.(row);
      return row;
    },
    onDone: (done) => meter.tell(done, sequences.length),
  });
  let at = 0;
  const scored = groups.map((group) => {
    const scores = rows.slice(at, at += group.length).map((row) => score(row));
    const best = scores.reduce((a, b) => b.logit > a.logit ? b : a);
    return { ...best, truncated: group.some(({ truncated }) => truncated) };
  });
  const ranked = places.map((i, index): Ranked<T> => ({ index, ...scored[i]!, document: documents[index]! }));
  return ranked.sort((a, b) => b.logit - a.logit || a.index - b.index).slice(0, options.topN);
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
  const [[wanted], found] = await Promise.all([
    // What is cut is never the query.
    embedTexts(engine, () => "query", [query], { signal, truncate: "error", prompt }),
    pool.tokenize(documents.map((text) => (prompts?.document ?? "") + text), { signal }),
  ]);
  const groups = found.map((ids, i): Sequence[] => {
    if (truncate !== "windows") {
      return [fitTokens(() => name(i), ids, info.maxTokens, truncate, model.numbers)];
    }
    return windowsOf(ids, info.maxTokens, model.numbers).map((window) => ({ ids: window, truncated: false }));
  });
  return {
    groups,
    finish: normalize,
    score: (row) => {
      const cosine = dot(wanted!.embedding, row);
      return { logit: cosine, score: cosine };
    },
  };
}

async function planPairs(
  engine: Engine,
  query: string,
  documents: readonly string[],
  options: Options,
  name: (i: number) => string,
): Promise<Plan> {
  const { head } = engine;
  const yes = head.labels.indexOf("yes");
  const wanted = options.label === undefined ? Math.max(0, yes) : head.labels.indexOf(options.label);
  if (wanted < 0) throw noLabel(options.label!, head.labels);
  return {
    groups: await pairsOf(engine, query, documents, options, name),
    score: (row) => scoreOf(row, head, wanted),
  };
}

async function pairsOf(
  { info, model, pair, pool, shares, template }: Engine,
  query: string,
  documents: readonly string[],
  { signal, truncate = "end", instruction }: Options,
  name: (i: number) => string,
): Promise<Sequence[][]> {
  if (template === undefined) {
    if (instruction !== undefined) withInstruction(undefined, instruction);
    const [wanted, ...found] = (await pool.tokenize([query, ...documents], { signal }))
      .map((ids) => withoutSpecials(ids, model.numbers));
    return found.map((ids, i) => joinPair(wanted!, ids, pair, info.maxTokens, truncate, () => name(i)));
  }
  const tokenize = (list: Text[]): Promise<Int32Array[]> => pool.tokenize(list, { signal });
  // Put in as a placeholder first: an instruction may spell special tokens, too.
  const frame = instruction === undefined ? template : withInstruction(template, "{instruction}");
  const stretches = await parseTemplate(frame, tokenize);
  const { bos, addBos } = model.numbers;
  const first = stretches[0];
  if (addBos && bos >= 0 && !(first && "token" in first && first.token === bos)) stretches.unshift({ token: bos });
  const values = { query, instruction: instruction ?? DEFAULT_INSTRUCTION };
  const groups = await fillTemplate(stretches, values, documents, info.maxTokens, truncate, name, tokenize);
  return shares ? groups : groups.map((group) => group.map(({ ids, truncated }) => ({ ids, truncated })));
}

function noLabel(label: string, labels: readonly string[]): RangeError {
  const list = labels.map((one) => JSON.stringify(one)).join(", ");
  return new RangeError(
    `Cannot rank by the label ${JSON.stringify(label)}: the model has ${list ? `only ${list}` : "no labels"}`,
  );
}
