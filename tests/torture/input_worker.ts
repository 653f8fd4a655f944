// What input.ts runs: input_worker.ts CASE SEED RUNS DIRECTORY
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import fc from "fast-check";
import { convert } from "../../convert.ts";
import { dot, Llama } from "../../mod.ts";
import { callsOf } from "../support/calls.ts";
import { fixture } from "../support/checkpoint.ts";
import { anyText, anyValue, rareText } from "../support/hostile.ts";
import { tryCall } from "../support/hostile_call.ts";
import { randomIntegers } from "../support/random.ts";
import { writeWordPieces } from "../support/vocabulary.ts";
import { RARE_PIECES, WordPieceReference } from "../support/word_piece.ts";
import { tell } from "./worker.ts";

const [name = "", seed = "", runs = "", directory = ""] = process.argv.slice(2);
const numRuns = Number(runs);
const parameters = { seed: Number(seed), numRuns };
mkdirSync(directory, { recursive: true });
Object.assign(process.env, { HF_HUB_OFFLINE: "1", HF_HUB_CACHE: join(directory, "cache") });
await convert(fixture("tiny_bert"), join(directory, "tiny.gguf"));
await convert(fixture("tiny_cross_encoder"), join(directory, "cross.gguf"));
const embedder = await Llama.load(join(directory, "tiny.gguf"));
const reranker = await Llama.load(join(directory, "cross.gguf"));
const PROBE = "a text that must keep its vector";
const expected = await embedder.embed(PROBE);

/** What is wrong with the models after a run; undefined if nothing. */
async function harm(): Promise<string | undefined> {
  const cosine = dot(await embedder.embed(PROBE), expected);
  return cosine > 0.99999 ? undefined : `afterwards a vector's cosine to what it was is ${cosine}`;
}

/** Any value for any argument of any public function. */
async function values(): Promise<void> {
  const calls = callsOf(embedder, directory);
  const slow = new Set(["build"]); // it starts compilers to ask their versions
  const keys = calls.flatMap((call) =>
    Object.keys(call.refusals).map((key) => ({ call, key, rare: slow.has(call.name) }))
  );
  const drawn = fc.record({ pair: fc.constantFrom(...keys), make: anyValue, often: fc.integer({ min: 0, max: 9 }) });
  for (const { pair, make, often } of fc.sample(drawn, parameters)) {
    const { call, key } = pair.rare && often > 0 ? keys[0]! : pair;
    const wrong = await tryCall(call, key, make(), directory) ?? await harm();
    tell(wrong && `${wrong} (the value: ${fc.stringify(make)})`);
  }
}

/** Any texts, well-formed or not, as documents, queries and prompts. */
async function texts(): Promise<void> {
  for (const list of fc.sample(fc.array(anyText, { minLength: 1, maxLength: 40 }), parameters)) {
    tell(await tryTexts(list).catch((error) => `${fc.stringify(list)}: ${error}`));
  }
}

async function tryTexts(list: string[]): Promise<string | undefined> {
  const bad = list.findIndex((text) => !text.isWellFormed());
  const [vectors, ranked] = await Promise.allSettled([embedder.embed(list), reranker.rerank("what", list)]);
  if (bad >= 0) {
    const right = vectors.status === "rejected" && ranked.status === "rejected" &&
      vectors.reason instanceof TypeError && vectors.reason.message.includes(`input[${bad}]`) &&
      ranked.reason instanceof TypeError && ranked.reason.message.includes(`documents[${bad}]`);
    return right ? await harm() : `index ${bad} is not named: ${JSON.stringify([vectors, ranked])}`;
  }
  if (vectors.status === "rejected" || ranked.status === "rejected") return JSON.stringify([vectors, ranked]);
  const finite = vectors.value.every((vector) => vector.every(Number.isFinite)) &&
    ranked.value.every((one) => one.score > 0);
  const [alone] = await embedder.embed([list[0]!]);
  const cosine = dot(alone!, vectors.value[0]!);
  return finite && ranked.value.length === list.length && cosine > 0.9999
    ? undefined
    : `wrong for ${JSON.stringify(list)}`;
}

/** Tokens of texts full of rare characters, for all four settings of a tokenizer. */
async function tokens(): Promise<void> {
  const settings = [true, false].flatMap((lowercase) =>
    [true, false].map((stripAccents) => ({ lowercase, stripAccents }))
  );
  const path = join(directory, "pieces.gguf");
  const share = Math.ceil(numRuns / settings.length);
  for (const [i, setting] of settings.entries()) {
    await writeWordPieces(RARE_PIECES, setting, path);
    await using llama = await Llama.load(path, { contexts: 1 });
    const reference = new WordPieceReference(RARE_PIECES, setting);
    const runs = Math.min(share, numRuns - i * share);
    for (const text of fc.sample(fc.oneof(anyText, rareText(24)), { seed: Number(seed) + i, numRuns: runs })) {
      if (!text.isWellFormed()) {
        tell(undefined);
        continue;
      }
      const [found, right] = [(await llama.tokenize(text)).subarray(1, -1).join(), reference.ids(text).join()];
      tell(found === right ? undefined : `${JSON.stringify(text)}, ${JSON.stringify(setting)}: ${found}, not ${right}`);
    }
  }
}

/** 100,000 documents in one call, and memory that does not grow with the second and third time. */
async function many(): Promise<void> {
  const draw = randomIntegers(Number(seed));
  const word = (): string => String.fromCharCode(97 + draw(0, 25)).repeat(draw(1, 6));
  const documents = Array.from({ length: 100_000 }, (_, i) => `${word()} ${word()} ${i}`);
  const places = Array.from({ length: 5 }, () => draw(0, documents.length - 1));
  for (let run = 0; run < numRuns; run++) {
    const vectors = await embedder.embed(documents);
    const ranked = await embedder.rerank("a query", documents, { topN: 10 });
    let wrong = vectors.length === documents.length && ranked.length === 10 ? undefined : "results are missing";
    for (const place of places) {
      const cosine = dot(vectors[place]!, await embedder.embed(documents[place]!));
      if (cosine < 0.9999) wrong ??= `the vector of documents[${place}] has the cosine ${cosine} to its own`;
    }
    tell(wrong ?? await harm());
  }
}

const LONG: readonly [kind: string, piece: string][] = [
  ["words", "a few words of English, "],
  ["spaces", " "],
  ["a word without an end", "x"],
  ["ideographs", "漢"],
  ["accents", "e\u0301\u0323"],
  ["special tokens", "[SEP][CLS]"],
  ["NUL", "\0"],
  ["emoji", "👩‍👩‍👧‍👦"],
];

/** Texts of 10 MB. */
async function long(): Promise<void> {
  for (let run = 0; run < numRuns; run++) {
    const [kind, piece] = LONG[run % LONG.length]!;
    const text = piece.repeat(Math.ceil(10_000_000 / new TextEncoder().encode(piece).length));
    const [report, [first]] = await Promise.all([embedder.embedDetailed(text), reranker.rerank("q", [text, "short"])]);
    const wrong = report.embedding.every(Number.isFinite) && first !== undefined ? await harm() : "no numbers";
    tell(wrong && `${kind}: ${wrong}`);
  }
}

await ({ values, texts, tokens, many, long } as Record<string, () => Promise<void>>)[name]!();
await Promise.all([embedder.close(), reranker.close()]);
