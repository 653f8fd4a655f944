// Finds what a page names and the repository lacks: links, headings, paths, names in files, tasks.
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { proseOf, readPage, type Repository } from "./pages.ts";

const FOLDERS = /^(src|ffi|build|tests|bench|scripts|docs|examples|\.ci|\.github)\//;

/** Every link, path and task of a page that leads nowhere, each as one line. */
export function deadReferences(page: string, text: string, repository: Repository): string[] {
  return proseOf(text).split("\n").flatMap((line, i) =>
    [
      ...linksOf(line).map((target) => deadLink(page, target, repository)),
      ...pathsOf(line).map((path) => deadPath(path, repository.root)),
      ...symbolsOf(line).map(([name, path]) => deadSymbol(name, path, repository.root)),
      ...tasksOf(line).map((task) => repository.tasks.has(task) ? undefined : `there is no \`deno task ${task}\``),
    ].filter((what) => what !== undefined).map((what) => `${page}:${i + 1}: ${what}`)
  );
}

function linksOf(line: string): string[] {
  return [...line.replace(/`[^`]*`/g, "").matchAll(/\]\(([^()\s]+)\)/g)].map(([, target]) => target!);
}

/** Paths of the repository in code spans. What holds a placeholder (NAME, <os>) or is an output is no path. */
function pathsOf(line: string): string[] {
  const spans = [...line.matchAll(/`([^`]+)`/g)].flatMap(([, span]) => span!.split(/\s+/));
  // llama.cpp has its C++ in src, too; ours is in ffi/cpp
  const theirs = /^src\/.*\.(h|cpp)$/;
  return spans.map((word) => word.replace(/^\.\//, "").replace(/[.,:;]$/, ""))
    .filter((word) => FOLDERS.test(word) && !theirs.test(word) && !/[<>$…]|\b[A-Z]{3,}\b(?!\.md)/.test(word));
}

/** A name with its file, as in "`take` in `src/pool/plan.ts`" and "`take` (`src/pool/plan.ts`)". */
function symbolsOf(line: string): [name: string, path: string][] {
  const all = line.matchAll(/`#?(?:\w+\.)?([A-Za-z_]\w*)`(?: in | \()`([^`\s]+\.(?:ts|h|cpp))`/g);
  return [...all].map(([, name, path]) => [name!, path!]);
}

function tasksOf(line: string): string[] {
  return [...line.matchAll(/\bdeno task ([a-z][\w:-]*)/g)].map(([, task]) => task!);
}

function deadLink(page: string, target: string, { root, isPublished }: Repository): string | undefined {
  if (/^[a-z]+:/.test(target)) return undefined; // elsewhere
  const [path = "", anchor] = target.split("#");
  const file = path === "" ? page : posix.join(dirname(page), path);
  if (!existsSync(join(root, file))) return `the link ${target} leads to ${file}, which is not there`;
  if (isPublished(page) && !isPublished(file)) {
    return `the link ${target} leads to ${file}, which the published packages lack: name the path in code`;
  }
  if (anchor === undefined || !file.endsWith(".md")) return undefined;
  return headingsOf(readPage(root, file)).has(anchor) ? undefined : `${file} has no heading #${anchor}`;
}

/** The anchors that hosts of Git make of a page's headings. */
function headingsOf(text: string): Set<string> {
  const headings = [...proseOf(text).matchAll(/^#+ (.+)$/gm)].map(([, heading]) => heading!);
  return new Set(
    headings.map((one) => one.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "").trim().replace(/\s/g, "-")),
  );
}

function deadPath(path: string, root: string): string | undefined {
  for (const one of alternatives(path)) {
    const exists = one.includes("*") ? matches(one, root) : existsSync(join(root, one));
    if (!exists) return `there is no ${one}`;
  }
  return undefined;
}

/** A name that its file does not hold; that the file exists is checked with the paths. */
function deadSymbol(name: string, path: string, root: string): string | undefined {
  if (!FOLDERS.test(path) || !existsSync(join(root, path))) return undefined;
  const text = readFileSync(join(root, path), "utf8");
  return new RegExp(`\\b${name}\\b`).test(text) ? undefined : `${path} has no ${name}`;
}

/** `a/{b,c}.ts` as `a/b.ts` and `a/c.ts`. */
function alternatives(path: string): string[] {
  const [all, choices] = /\{([^{}]+)\}/.exec(path) ?? [];
  return all === undefined ? [path] : choices!.split(",").flatMap((one) => alternatives(path.replace(all, one)));
}

function matches(pattern: string, root: string): boolean {
  const fixed = pattern.slice(0, pattern.indexOf("*"));
  const folder = fixed.slice(0, fixed.lastIndexOf("/"));
  if (!existsSync(join(root, folder)) || !statSync(join(root, folder)).isDirectory()) return false;
  const source = pattern.split(/(\*+)/).map((part) =>
    part === "*" ? "[^/]*" : part.startsWith("*") ? ".*" : part.replace(/[.+?^${}()|[\]\\]/g, "\\$&")
  ).join("");
  const whole = new RegExp(`^${source}$`);
  const files = readdirSync(join(root, folder), { recursive: true, encoding: "utf8" });
  return files.some((file) => whole.test(`${folder}/${file.replaceAll("\\", "/")}`));
}
