// What tests of embed jobs share: a small model, inputs of mixed lengths with bad rows among them, and the command.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Point, watchPoints } from "../../cli/jobs/disk.ts";
import { convert } from "../../convert.ts";
import { copyCheckpoint, fixture } from "./checkpoint.ts";
import { randomIntegers } from "./random.ts";

const WORDS = "the a quick brown fox jumps over lazy dog river mountain science vector model tree house blue".split(
  " ",
);

let tiny: Uint8Array | undefined;

/** Makes the tiny model in a folder; it is converted once. */
export async function tinyModel(directory: string): Promise<string> {
  const path = join(directory, "tiny.gguf");
  if (tiny === undefined) {
    await convert(fixture("tiny_bert"), path);
    tiny = readFileSync(path);
  } else writeFileSync(path, tiny);
  return path;
}

/** Makes a tiny model in a folder that has prompts, as sentence-transformers writes them. */
export async function promptedModel(
  directory: string,
  prompts: { readonly query: string; readonly document: string },
): Promise<string> {
  const checkpoint = copyCheckpoint("tiny_bert", directory);
  writeFileSync(join(checkpoint, "config_sentence_transformers.json"), JSON.stringify({ prompts }));
  const path = join(directory, "prompted.gguf");
  await convert(checkpoint, path);
  return path;
}

/** The options that make groups of so many rows, and of Parquet parts. */
export function groupsOf(format: "jsonl" | "parquet", rows: number, partRows?: number): string[] {
  if (format === "jsonl") return ["--checkpoint", `${rows}`];
  return ["--row-group", `${rows}`, ...partRows === undefined ? [] : ["--part-rows", `${partRows}`]];
}

/** Texts of one to forty words, most of them short. */
export function randomTexts(count: number, seed: number): string[] {
  const draw = randomIntegers(seed);
  const words = (): number => draw(0, 9) === 0 ? draw(10, 40) : draw(1, 9);
  return Array.from({ length: count }, () => {
    return Array.from({ length: words() }, () => WORDS[draw(0, WORDS.length - 1)]).join(" ");
  });
}

/** Writes JSONL of such texts; every so many rows one is bad. */
export function writeJsonl(path: string, count: number, seed: number, badEvery = 0): void {
  const bad = ["{", '{"n":1}', '{"text":7}', '{"text":"\\ud800"}', "[]"];
  const lines = randomTexts(count, seed).map((text, i) => {
    if (badEvery > 0 && i % badEvery === badEvery - 1) return bad[(i / badEvery | 0) % bad.length];
    return JSON.stringify({ text, n: i, name: `row ${i}` });
  });
  writeFileSync(path, lines.join("\n") + "\n");
}

/** Makes the next job of this process fail where it comes to a point for the n-th time: its files are as a killed process leaves them, but for the lock. */
export function failAt(point: Point, times: number): void {
  let left = times;
  watchPoints((reached) => {
    if (reached !== point || --left > 0) return;
    watchPoints(() => {});
    throw new Error(`Cannot go on ${point}: made by a test`);
  });
}

/** The texts that were embedded by programs of which each wrote its calls into a file. */
export function countedTexts(path: string): number {
  return readFileSync(path, "utf8").split("\n").reduce((sum, line) => sum + Number(line), 0);
}
