// The texts of the benchmark: prose paragraphs of the pinned llama.cpp tree's Markdown, read where it lies.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { pinnedSource } from "../build/source.ts";
import { cacheDirectory } from "../ffi/host/paths.ts";

const FENCED_BLOCK = /^ *(```|~~~)[\s\S]*?(^ *\1.*$|(?![\s\S]))/gm;
const NO_PROSE = /^\s*([#|<>*+=!-]|\d+[.)]|\[[^\]]*\]:|\$|```|~~~)|^( {4}|\t)/; // headings, tables, lists, HTML, indented code
const FEWEST_WORDS = 10;

/**
 * Texts spread evenly over all paragraphs of the pinned llama.cpp tree's documentation; always the same ones.
 *
 * @param count How many.
 * @throws {Error} There are not as many.
 */
export async function paragraphs(count: number): Promise<string[]> {
  const texts = await allParagraphs();
  if (texts.length < count) throw new Error(`llama.cpp has ${texts.length} paragraphs: ask for at most as many`);
  return Array.from({ length: count }, (_, i) => texts[Math.floor(i * texts.length / count)]!);
}

/** All paragraphs of the pinned llama.cpp tree's documentation, each once. */
export async function allParagraphs(): Promise<string[]> {
  const cache = cacheDirectory();
  if (cache === undefined) throw new Error("The user cache is unknown: set XDG_CACHE_HOME, HOME or LOCALAPPDATA");
  const { directory } = await pinnedSource(cache, (line) => process.stderr.write(`${line}\n`));
  const all = new Set<string>();
  for (const path of markdownFiles(directory)) {
    for (const text of proseOf(readFileSync(join(directory, path), "utf8"))) all.add(text);
  }
  return [...all];
}

/** The Markdown files below a directory, relative to it, in the order of their code points. */
function markdownFiles(directory: string): string[] {
  const names = readdirSync(directory, { recursive: true, encoding: "utf8" }).map((name) => name.replaceAll("\\", "/"));
  return names.filter((name) => name.endsWith(".md") && !name.startsWith(".git/")).sort();
}

/** The paragraphs of running text in a Markdown file, each as one line. */
function proseOf(markdown: string): string[] {
  const blocks = markdown.replaceAll("\r", "").replace(FENCED_BLOCK, "\n").split(/\n\s*\n/);
  return blocks
    .filter((block) => block.split("\n").every((line) => !NO_PROSE.test(line)))
    .map((block) => block.replace(/\s+/g, " ").trim())
    .filter((text) => text.split(" ").length >= FEWEST_WORDS);
}

if (import.meta.main) {
  for (const text of await paragraphs(Number(process.argv[2] ?? 300))) console.log(text);
}
