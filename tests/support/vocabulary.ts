// Real vocabularies of the pinned llama.cpp, made loadable: its files hold no weights, so a tiny random BERT goes around one.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { sourcePath } from "../../build/source.ts";
import { cacheDirectory } from "../../ffi/host/paths.ts";
import { Llama } from "../../mod.ts";
import { type GgufMetadata, type GgufTensor, type GgufValue, writeGguf } from "../../src/convert/gguf.ts";
import { inDirectory } from "./checkpoint.ts";
import { randomTensor } from "../fixtures/randoms.ts";
import { valueOf } from "./gguf_copy.ts";
import { readGguf } from "./gguf_reader.ts";

const WIDTH = 4;
const POSITIONS = 512;

const cache = cacheDirectory();
const folder = cache && join(sourcePath(cache), "models");

/** Why the vocabularies cannot be read; undefined if they can. */
export const vocabulariesMissing: string | undefined = folder && existsSync(folder)
  ? undefined
  : "llama.cpp's source is not in the cache: build the library without --llama and --source";

/** Path of a vocabulary's file. */
export function vocabularyPath(name: string): string {
  return join(folder!, `ggml-vocab-${name}.gguf`);
}

/** What llama.cpp's own test has for a vocabulary: texts, and the ids of Hugging Face for them. */
export function vocabularyTests(name: string): { text: string; ids: number[] }[] {
  const read = (end: string): string => readFileSync(`${vocabularyPath(name)}.${end}`, "utf8");
  const texts = read("inp").split("\n__ggml_vocab_test__\n");
  const lines = read("out").split("\n");
  if (lines.at(-1) === "") lines.pop();
  // As tests/test-tokenizer-0.cpp reads them: nothing after the last separator is no text.
  if (texts.at(-1) === "") texts.pop();
  if (texts.length !== lines.length) throw new Error(`${name}: ${texts.length} texts, ${lines.length} lines of ids`);
  return texts.map((text, i) => ({ text, ids: lines[i]!.split(" ").filter((id) => id !== "").map(Number) }));
}

/** How large the BERT around a vocabulary is. */
export interface VocabularyShape {
  readonly width: number;
  readonly layers: number;
}

/** Writes a model that has this vocabulary. */
export async function writeVocabularyModel(name: string, path: string, shape: VocabularyShape): Promise<void> {
  const { metadata } = readGguf(vocabularyPath(name));
  const bert = bertOf(shape);
  const tokenizer = [...metadata].filter(([key]) => key.startsWith("tokenizer.ggml.") && !bert.has(key));
  const vocabulary = (metadata.get("tokenizer.ggml.tokens")!.value as string[]).length;
  await writeGguf(path, new Map([...bert, ...tokenizer.map(valueOf)]), tensors(vocabulary, shape));
}

/** How WordPiece's texts are normalised. */
export interface WordPieceSettings {
  readonly lowercase: boolean;
  /** As `lowercase`, if it is not said. */
  readonly stripAccents?: boolean;
}

/** Writes a BERT that has these pieces, under Hugging Face's names ("word", "##piece"). */
export async function writeWordPieces(
  pieces: readonly string[],
  { lowercase, stripAccents }: WordPieceSettings,
  path: string,
): Promise<void> {
  const special = new Set(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]);
  const stored = (piece: string): string => piece.startsWith("##") ? piece.slice(2) : `\u2581${piece}`;
  const settings: Record<string, GgufValue> = {
    "model": { string: "bert" },
    "pre": { string: "jina-v2-en" },
    "tokens": { strings: pieces.map((piece) => special.has(piece) ? piece : stored(piece)) },
    "token_type": { i32s: pieces.map((piece) => special.has(piece) ? 3 : 1) },
    "bos_token_id": { u32: pieces.indexOf("[CLS]") },
    "seperator_token_id": { u32: pieces.indexOf("[SEP]") },
    "unknown_token_id": { u32: pieces.indexOf("[UNK]") },
    "normalizer.lowercase": { bool: lowercase },
    ...stripAccents === undefined ? {} : { "normalizer.strip_accents": { bool: stripAccents } },
  };
  const tokenizer = Object.entries(settings).map((
    [key, value],
  ): [string, GgufValue] => [`tokenizer.ggml.${key}`, value]);
  const shape = { width: WIDTH, layers: 1 };
  await writeGguf(path, new Map([...bertOf(shape), ...tokenizer]), tensors(pieces.length, shape));
}

/** Runs with such a model. */
export async function withWordPieces(
  pieces: readonly string[],
  settings: WordPieceSettings,
  run: (llama: Llama) => Promise<void>,
): Promise<void> {
  await inDirectory(async (directory) => {
    const path = join(directory, "model.gguf");
    await writeWordPieces(pieces, settings, path);
    await using llama = await Llama.load(path, { contexts: 1 });
    await run(llama);
  });
}

/** The pieces of a stored WordPiece vocabulary, under Hugging Face's names. */
export function wordPiecesOf(name: string): string[] {
  const { metadata } = readGguf(vocabularyPath(name));
  const types = metadata.get("tokenizer.ggml.token_type")!.value as number[];
  const tokens = metadata.get("tokenizer.ggml.tokens")!.value as string[];
  return tokens.map((token, i) => types[i] === 3 ? token : token.startsWith("\u2581") ? token.slice(1) : `##${token}`);
}

/** Runs with a model that has this vocabulary. */
export async function withVocabulary(name: string, run: (llama: Llama) => Promise<void>): Promise<void> {
  await inDirectory(async (directory) => {
    const path = join(directory, "model.gguf");
    await writeVocabularyModel(name, path, { width: WIDTH, layers: 1 });
    await using llama = await Llama.load(path, { contexts: 1 });
    await run(llama);
  });
}

function bertOf({ width, layers }: VocabularyShape): GgufMetadata {
  return new Map<string, GgufValue>([
    ["general.architecture", { string: "bert" }],
    ["bert.block_count", { u32: layers }],
    ["bert.context_length", { u32: POSITIONS }],
    ["bert.embedding_length", { u32: width }],
    ["bert.feed_forward_length", { u32: width }],
    ["bert.attention.head_count", { u32: 1 }],
    ["bert.attention.layer_norm_epsilon", { f32: 1e-12 }],
    ["bert.attention.causal", { bool: false }],
    ["bert.pooling_type", { u32: 1 }],
    ["tokenizer.ggml.token_type_count", { u32: 1 }],
  ]);
}

function tensors(vocabulary: number, { width, layers }: VocabularyShape): GgufTensor[] {
  const layer = (i: number): GgufTensor[] => [
    ...["attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_down"].flatMap((name) =>
      pair(`blk.${i}.${name}`, width, width)
    ),
    ...["attn_output_norm", "layer_output_norm"].flatMap((name) => pair(`blk.${i}.${name}`, width)),
  ];
  return [
    random("token_embd.weight", vocabulary, width),
    random("position_embd.weight", POSITIONS, width),
    random("token_types.weight", 1, width),
    ...pair("token_embd_norm", width),
    ...Array.from({ length: layers }, (_, i) => layer(i)).flat(),
  ];
}

function pair(name: string, rows: number, ...rest: number[]): GgufTensor[] {
  return [random(`${name}.weight`, rows, ...rest), random(`${name}.bias`, rows)];
}

function random(name: string, ...shape: number[]): GgufTensor {
  const count = shape.reduce((product, n) => product * n, 1);
  return {
    name,
    shape,
    floats: async function* () {
      yield randomTensor(name.length, count, 0.5);
    },
  };
}
