// Reads the pages: which there are, the code blocks in them, and their prose without these.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** What pages may name. */
export interface Repository {
  readonly root: string;
  /** The tasks of deno.json: names, and the commands behind them. */
  readonly tasks: ReadonlyMap<string, string>;
  /** Whether a file is in the published packages, on JSR and on npm. */
  readonly isPublished: (path: string) => boolean;
}

/** A fenced code block of a page. */
export interface Block {
  readonly page: string;
  /** The line of the page that the code begins at, from 1. */
  readonly line: number;
  /** What follows the fence, such as `ts` or `ts ignore`. */
  readonly language: string;
  readonly code: string;
}

/** The pages for users, relative to the root: their links must work in the published package too. */
export function userPages(root: string): string[] {
  const docs = readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" });
  return ["README.md", ...docs.filter((path) => path.endsWith(".md")).map((path) => `docs/${path}`).sort()];
}

/** Every page whose links, paths and tasks are checked. CHANGELOG.md tells of what is gone, too. */
export function allPages(root: string): string[] {
  const others = [
    "CONTRIBUTING.md",
    "SECURITY.md",
    "bench/README.md",
    "bench/experiments.md",
    "ffi/cpp/README.md",
    "scripts/upstream/README.md",
  ];
  return [...userPages(root), ...others.filter((page) => existsSync(join(root, page)))];
}

/** The code blocks of a page, in their order. */
export function blocksOf(page: string, text: string): Block[] {
  const blocks: Block[] = [];
  const lines = text.split("\n");
  for (let i = 0; i < lines.length; i++) {
    const [, indent = "", language = ""] = /^( *)```(.*)$/.exec(lines[i]!) ?? [];
    if (!/^ *```/.test(lines[i]!)) continue;
    const end = lines.findIndex((line, j) => j > i && line.trimEnd() === `${indent}\`\`\``);
    if (end === -1) throw new Error(`${page}:${i + 1}: the code block has no end`);
    const code = lines.slice(i + 1, end).map((line) => line.slice(indent.length)).join("\n");
    blocks.push({ page, line: i + 2, language: language.trim(), code });
    i = end;
  }
  return blocks;
}

/** A page's text with each code block replaced by empty lines, so that line numbers stay. */
export function proseOf(text: string): string {
  let inside = false;
  return text.split("\n").map((line) => {
    const fence = /^ *```/.test(line);
    if (fence) inside = !inside;
    return fence || inside ? "" : line;
  }).join("\n");
}

/** The text of a page. */
export function readPage(root: string, page: string): string {
  return readFileSync(join(root, page), "utf8");
}
