/** One rerank call: by the model's own scores of pairs where it has them, else by the cosine of vectors. */
import { LlamaError } from "../ffi/errors.ts";
import { distinct, embedTexts, warnOfTruncation } from "./embed.ts";
import type { Engine } from "./engine.ts";
import type { RerankOptions } from "./options.ts";
import { joinPair, withoutSpecials } from "./pairs.ts";
import type { Text } from "./pool.ts";
import { fillTemplate, parseTemplate } from "./templates.ts";
import type { Sequence } from "./tokens.ts";
import { dot, isFiniteVector } from "./vectors.ts";

/** A document's place in a ranking. */
export interface Ranked<T> {
  /** The document's index in the list that was given. */
  readonly index: number;
  /** How well it answers the query: 0 to 1 from a cross-encoder; else the cosine, −1 to 1. */
  readonly score: number;
  /** The number before it was made a score: what to sort by, since scores near 1 run together. */
  readonly logit: number;
  /** The document as it was given. */
  readonly document: T;
  /** Whether it was longer than the model takes. */
  readonly truncated: boolean;
}

interface Scored {
  readonly logit: number;
  readonly score: number;
  readonly truncated: boolean;
}

/** Ranks documents, whose texts are given beside them. */
export async function rankDocuments<T>(
  engine: Engine,
  query: string,
  documents: readonly T[],
  texts: readonly string[],
  options: RerankOptions<T>,
): Promise<Ranked<T>[]> {
  const score = engine.info.reranker === "cosine" ? scoreByCosine : scorePairs;
  const scored = await score(engine, query, texts, options);
  const ranked = scored.map((one, index): Ranked<T> => ({ index, ...one, document: documents[index]! }));
  return ranked.sort((a, b) => b.logit - a.logit || a.index - b.index).slice(0, options.topN);
}

type Options = Pick<RerankOptions<unknown>, "signal" | "truncate" | "onProgress">;

async function scoreByCosine(engine: Engine, query: string, texts: readonly string[], options: Options) {
  const { signal, truncate, onProgress } = options;
  const [[wanted], found] = await Promise.all([
    embedTexts(engine, () => "query", [query], { signal, truncate }),
    embedTexts(engine, (i) => `documents[${i}]`, texts, { signal, truncate, onProgress }),
  ]);
  return found.map(({ embedding, truncated }): Scored => {
    const cosine = dot(wanted!.embedding, embedding);
    return { logit: cosine, score: cosine, truncated };
  });
}

async function scorePairs(engine: Engine, query: string, texts: readonly string[], options: Options) {
  const { unique, places } = distinct(texts);
  const name = (i: number): string => `documents[${texts.indexOf(unique[i]!)}]`;
  const pairs = await sequencesOf(engine, query, unique, options, name);
  warnOfTruncation(engine, pairs);
  const { signal, onProgress } = options;
  const rows = await engine.pool.encode(pairs, {
    signal,
    onDone: onProgress && ((done) => onProgress({ done, total: unique.length })),
  });
  const scores = rows.map((row, i) => scoreOf(engine, row, () => name(i)));
  return places.map((i): Scored => ({ ...scores[i]!, truncated: pairs[i]!.truncated }));
}

async function sequencesOf(
  { info, model, pair, pool, template }: Engine,
  query: string,
  documents: readonly string[],
  { signal, truncate = "end" }: Options,
  name: (i: number) => string,
): Promise<Sequence[]> {
  if (template !== undefined) {
    const tokenize = (list: Text[]): Promise<Int32Array[]> => pool.tokenize(list, { signal });
    const stretches = await parseTemplate(template, tokenize);
    return await fillTemplate(stretches, query, documents, info.maxTokens, truncate, name, tokenize);
  }
  const [wanted, ...found] = (await pool.tokenize([query, ...documents], { signal }))
    .map((ids) => withoutSpecials(ids, model.numbers));
  return found.map((ids, i) => joinPair(wanted!, ids, pair, info.maxTokens, truncate, () => name(i)));
}

/** Qwen3's head has been through softmax in llama.cpp's graph (`build_pooling`); the others give the raw number. */
function scoreOf({ info }: Engine, row: Float32Array, name: () => string): Pick<Scored, "logit" | "score"> {
  if (!isFiniteVector(row)) {
    throw new LlamaError("non-finite", `Cannot rank ${name()}: the model gave NaN or infinity for it`);
  }
  const [yes, no] = ["yes", "no"].map((label) => info.labels.indexOf(label));
  if (info.architecture.startsWith("qwen3") && yes! >= 0 && no! >= 0) {
    // A float32 that was rounded to 0 stands for less than half of the smallest one.
    const [p, q] = [row[yes!]!, row[no!]!].map((one) => Math.max(one, 2 ** -150)) as [number, number];
    return { logit: Math.log(p) - Math.log(q), score: p / (p + q) };
  }
  const logit = row[0]!;
  return { logit, score: 1 / (1 + Math.exp(-logit)) };
}
