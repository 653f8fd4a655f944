/** One rerank call: by the model's own scores of pairs where it has them, else by the cosine of vectors. */
import { LlamaError } from "../ffi/errors.ts";
import { distinct, embedTexts, warnOfTruncation } from "./embed.ts";
import type { Engine } from "./engine.ts";
import type { RerankOptions } from "./options.ts";
import { joinPair, withoutSpecials } from "./pairs.ts";
import { dot } from "./vectors.ts";

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
  const { info, model, pair, pool } = engine;
  const { signal, truncate = "end", onProgress } = options;
  const { unique, places } = distinct(texts);
  const [wanted, ...found] = (await pool.tokenize([query, ...unique], { signal }))
    .map((ids) => withoutSpecials(ids, model.numbers));
  const pairs = found.map((ids, i) => {
    const name = (): string => `documents[${texts.indexOf(unique[i]!)}]`;
    return joinPair(wanted!, ids, pair, model.numbers, info.maxTokens, truncate, name);
  });
  warnOfTruncation(engine, pairs);
  const rows = await pool.encode(pairs, {
    signal,
    onDone: onProgress && ((done) => onProgress({ done, total: unique.length })),
  });
  return places.map((i): Scored => {
    const logit = rows[i]![0]!;
    if (!Number.isFinite(logit)) {
      const index = texts.indexOf(unique[i]!);
      throw new LlamaError("non-finite", `Cannot rank documents[${index}]: the model gave ${logit} for it`);
    }
    return { logit, score: 1 / (1 + Math.exp(-logit)), truncated: pairs[i]!.truncated };
  });
}
