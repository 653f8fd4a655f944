/** One rerank call: by the model's own scores of pairs where it has them, else by the cosine of vectors. */
import { LlamaError } from "../ffi/errors.ts";
import { copyList } from "./check.ts";
import { checkFinite, embedTexts, readTexts, warnOfTruncation } from "./embed.ts";
import type { Engine } from "./engine.ts";
import { Meter } from "./meter.ts";
import type { RerankOptions } from "./options.ts";
import { joinPair, withoutSpecials } from "./pairs.ts";
import type { Special } from "./pool.ts";
import { type LabelScore, type Score, scoreOf } from "./scores.ts";
import { DEFAULT_INSTRUCTION, fillTemplate, parseTemplate, withInstruction } from "./templates.ts";
import { forEachInSlices, mapInSlices, sortInSlices } from "./slices.ts";
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
  const { groups, score, finish } = await planOf(engine, query, unique, options, name);
  const sequences: Sequence[] = [];
  const owners: number[] = [];
  await forEachInSlices(groups.length, (i) => {
    for (const sequence of groups[i]!) {
      sequences.push(sequence);
      owners.push(i);
    }
  });
  await warnOfTruncation(engine, sequences);
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
  const scored = await mapInSlices(groups, (group) => {
    // no lists in between: what is left of 100,000 documents is collected in one go
    let best = score(rows[at]!);
    for (const end = at++ + group.length; at < end; at++) {
      const next = score(rows[at]!);
      if (next.logit > best.logit) best = next;
    }
    return { ...best, truncated: group.some(({ truncated }) => truncated) };
  });
  const ranked = await mapInSlices(
    places,
    (i, index): Ranked<T> => ({ index, ...scored[i]!, document: documents[index]! }),
  );
  const best = await sortInSlices(ranked, (a, b) => b.logit - a.logit || a.index - b.index);
  return best.slice(0, options.topN);
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
  const texts = await mapInSlices(documents, (text) => before + text);
  const [[wanted], found] = await Promise.all([
    // What is cut is never the query.
    embedTexts(engine, () => "query", [query], { signal, truncate: "error", prompt }),
    pool.tokenize(texts, "add", { signal }),
  ]);
  const groups = await mapInSlices(found, (ids, i): Sequence[] => {
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
    const [[wanted], found] = await Promise.all([
      pool.tokenize([query], "add", { signal }),
      pool.tokenize(documents, "add", { signal }),
    ]);
    const first = withoutSpecials(wanted!, model.numbers);
    return await mapInSlices(found, (ids, i) => {
      return joinPair(first, withoutSpecials(ids, model.numbers), pair, info.maxTokens, truncate, () => name(i));
    });
  }
  const tokenize = (list: readonly string[], special: Special) => pool.tokenize(list, special, { signal });
  // Put in as a placeholder first: an instruction may spell special tokens, too.
  const frame = instruction === undefined ? template : withInstruction(template, "{instruction}");
  const stretches = await parseTemplate(frame, tokenize);
  const { bos, addBos } = model.numbers;
  const first = stretches[0];
  if (addBos && bos >= 0 && !(first && "token" in first && first.token === bos)) stretches.unshift({ token: bos });
  const values = { query, instruction: instruction ?? DEFAULT_INSTRUCTION };
  const groups = await fillTemplate(stretches, values, documents, info.maxTokens, truncate, name, tokenize);
  if (shares) return groups;
  return await mapInSlices(groups, (group) => group.map(({ ids, truncated }) => ({ ids, truncated })));
}

function noLabel(label: string, labels: readonly string[]): RangeError {
  const list = labels.map((one) => JSON.stringify(one)).join(", ");
  return new RangeError(
    `Cannot rank by the label ${JSON.stringify(label)}: the model has ${list ? `only ${list}` : "no labels"}`,
  );
}
