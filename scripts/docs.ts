// Keeps the pages true: `deno task docs` writes their tables from bench/results and the catalogue; it measures nothing.
//   --check   writes nothing, and lists what is not so: tables that differ from their files, links, paths, tasks and shell
//             lines that lead nowhere, code blocks that are left out without a reason, pages that are too long
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { allPages, blocksOf, readPage, type Repository } from "./docs/pages.ts";
import { deadReferences } from "./docs/references.ts";
import { wrongCommands } from "./docs/shell.ts";
import { tables, unformatted, withTables } from "./docs/tables.ts";

/** The most lines that a page may have. */
const LINES: Readonly<Record<string, number>> = { "README.md": 150, "CONTRIBUTING.md": 90 };
/** Both packages hold these whatever their lists say. */
const ALWAYS = ["README.md", "LICENSE"];

/** Everything that is wrong with a page, each as one line. */
export function problems(page: string, text: string, repository: Repository): string[] {
  const made = tables(repository.root);
  const lines = text.split("\n").length - 1;
  const blocks = blocksOf(page, text);
  const reasons = text.split("\n");
  return [
    ...(lines > (LINES[page] ?? Infinity)
      ? [`${page}: it has ${lines} lines, at most ${LINES[page]} are allowed`]
      : []),
    ...(unformatted(withTables(page, text, made)) === unformatted(text)
      ? []
      : [`${page}: a table differs from its file; \`deno task docs\` writes it`]),
    ...deadReferences(page, text, repository),
    ...blocks.filter(({ language }) => language === "sh").flatMap(({ code, line }) =>
      wrongCommands(code, repository).map((wrong) => `${page}:${line}: ${wrong}`)
    ),
    ...blocks.filter(({ language }) => /^ts .*ignore/.test(language)).flatMap(({ line }) =>
      reasons[line - 4]?.startsWith("<!-- not run: ") ? [] : [`${page}:${line}: say \`<!-- not run: … -->\` above it`]
    ),
  ];
}

/** What pages may name in a checkout. */
export function repositoryOf(root: string): Repository {
  const read = (name: string) => JSON.parse(readFileSync(join(root, name), "utf8"));
  const { tasks, publish } = read("deno.json");
  const lists: readonly (readonly string[])[] = [publish.include, read("package.json").files];
  return {
    root,
    tasks: new Map(Object.entries<{ command: string }>(tasks).map(([name, { command }]) => [name, command])),
    isPublished: (path) =>
      ALWAYS.includes(path) || lists.every((list) => list.some((one) => path === one || path.startsWith(`${one}/`))),
  };
}

function write(root: string): void {
  const made = tables(root);
  for (const page of allPages(root)) {
    const text = readPage(root, page);
    const written = withTables(page, text, made);
    if (unformatted(written) !== unformatted(text)) writeFileSync(join(root, page), written);
  }
  const { status } = spawnSync("deno", ["fmt", "--quiet", ...allPages(root)], { cwd: root, stdio: "inherit" });
  if (status !== 0) throw new Error("Cannot format the pages");
}

function main(): number {
  const { values } = parseArgs({ options: { check: { type: "boolean", default: false } } });
  const root = fileURLToPath(new URL("..", import.meta.url));
  if (!values.check) write(root);
  const repository = repositoryOf(root);
  const pages = allPages(root);
  const found = pages.flatMap((page) => problems(page, readPage(root, page), repository));
  for (const line of found) console.error(line);
  console.log(`${found.length} problems in ${pages.length} pages`);
  return found.length > 0 ? 1 : 0;
}

if (import.meta.main) process.exitCode = main();
