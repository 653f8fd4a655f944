import { test } from "node:test";
import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { problems, repositoryOf } from "../../scripts/docs.ts";
import { blocksOf, readPage } from "../../scripts/docs/pages.ts";
import { deadReferences } from "../../scripts/docs/references.ts";
import { wrongCommands } from "../../scripts/docs/shell.ts";
import { tables, unformatted, withTables } from "../../scripts/docs/tables.ts";
import { ROOT } from "../support/child.ts";

const repository = repositoryOf(ROOT);

/** What is wrong with a line of README. */
const dead = (line: string): string[] => deadReferences("README.md", line, repository);
/** What is wrong with a shell line. */
const wrong = (line: string): string[] => wrongCommands(line, repository);

test("deadReferences() finds links to files that are not there, or not in the packages", () => {
  assertEquals(dead("[a](docs/models.md) [b](https://example.com/x) [c](SECURITY.md)"), []);
  assertEquals(dead("[a](docs/no.md)"), ["README.md:1: the link docs/no.md leads to docs/no.md, which is not there"]);
  assertMatch(dead("[a](CONTRIBUTING.md)").join(), /^README.md:1: .*which the published packages lack/);
});

test("deadReferences() finds headings that are not there", () => {
  assertEquals(dead("[a](docs/models.md#which-weights)"), []);
  assertEquals(dead("[a](docs/models.md#no)"), ["README.md:1: docs/models.md has no heading #no"]);
});

test("deadReferences() finds paths and tasks that are not there, and takes placeholders and llama.cpp's sources as they are", () => {
  assertEquals(
    dead("`src/llama.ts`, `./scripts/test.sh`, `tests/{src,ffi}`, `examples/*.ts`, `lib/<os>-<arch>/x.so`"),
    [],
  );
  assertEquals(dead("`src/llama-ext.h`, `deno task docs`"), []);
  assertEquals(dead("`src/no.ts`"), ["README.md:1: there is no src/no.ts"]);
  assertEquals(dead("`tests/{src,no}`"), ["README.md:1: there is no tests/no"]);
  assertEquals(dead("`examples/*.py`"), ["README.md:1: there is no examples/*.py"]);
  assertEquals(dead("deno task no"), ["README.md:1: there is no `deno task no`"]);
});

test("deadReferences() finds names that their file does not have", () => {
  assertEquals(dead("`Scheduler.take` in `src/pool/plan.ts`, `embedTexts` (`src/embed.ts`)"), []);
  assertEquals(dead("`noSuch` in `src/embed.ts`"), ["README.md:1: src/embed.ts has no noSuch"]);
  assertEquals(dead("`noSuch` (`src/embed.ts`)"), ["README.md:1: src/embed.ts has no noSuch"]);
});

test("wrongCommands() finds files, tasks, examples and flags that are not there", () => {
  const right = [
    "./examples/run.sh reranker # ranks",
    "deno task bench --full",
    "deno run -A build/mod.ts --jobs N",
    "cd a && . scripts/env.sh",
  ];
  assertEquals(right.flatMap(wrong), []);
  assertMatch(wrong("./examples/run.sh no").join(), /there is no example no/);
  assertMatch(wrong("./scripts/no.sh").join(), /there is no scripts\/no.sh/);
  assertMatch(wrong("deno task no").join(), /has no task no/);
  assertMatch(wrong("deno task bench --no").join(), /knows no --no/);
  assertMatch(wrong("deno run -A build/mod.ts --no").join(), /'--no'/);
  assertMatch(wrong("wget x | sh").join(), /teach scripts\/docs\/shell.ts/);
});

test("withTables() puts tables between their markers, and unformatted() compares them as `deno fmt` leaves them", () => {
  const made = { one: () => "| a | b |\n| --- | ---: |\n| 1 | 2 |" };
  const page = "before\n<!-- docs: one -->\nold\n<!-- /docs -->\nafter\n";
  const written = withTables("page", page, made);
  assertEquals(written, `before\n<!-- docs: one -->\n\n${made.one()}\n\n<!-- /docs -->\nafter\n`);
  assertEquals(
    unformatted(written),
    unformatted(written.replace("| 1 | 2 |", "| 1   |   2 |").replace("---:", "------:")),
  );
  assertEquals(unformatted(written) === unformatted(page), false);
  assertEquals(unformatted(written) === unformatted(written.replace("| 2 |", "| 3 |")), false);
  assertThrows(() => withTables("page", page.replace("docs: one", "docs: two"), made), RangeError, 'no table "two"');
});

test("problems() finds a table that differs from its file, a block without a reason, a page that is too long", () => {
  const readme = readPage(ROOT, "README.md");
  assertEquals(problems("README.md", readme, repository), []);
  assertMatch(
    problems("README.md", readme.replace(" texts, against", " texts against"), repository).join(),
    /differs from its file/,
  );
  assertMatch(problems("README.md", readme + "\n```ts ignore\nx\n```\n", repository).join(), /say `<!-- not run/);
  assertMatch(problems("README.md", readme + "\n".repeat(150), repository).join(), /at most 150 are allowed/);
  assertMatch(problems("CONTRIBUTING.md", "\n".repeat(91), repository).join(), /at most 90 are allowed/);
});

test("tables() names every table that the pages have", () => {
  const pages = [
    "README.md",
    "docs/accuracy.md",
    "docs/command-line.md",
    "docs/internals/panels.md",
    "docs/models.md",
    "docs/server.md",
    "docs/speed.md",
    "docs/worker.md",
  ]
    .map((page) => readPage(ROOT, page));
  const named = pages.flatMap((text) => [...text.matchAll(/<!-- docs: (\S+) -->/g)].map(([, name]) => name!));
  assertEquals(named.sort(), Object.keys(tables(ROOT)).sort());
});

test("blocksOf() takes code blocks with their language and line, and refuses one without end", () => {
  const text = "a\n\n```ts\nx;\n\ny;\n```\n- b\n\n  ```sh\n  z\n  ```\n";
  assertEquals(blocksOf("page", text), [
    { page: "page", line: 4, language: "ts", code: "x;\n\ny;" },
    { page: "page", line: 11, language: "sh", code: "z" },
  ]);
  assertThrows(() => blocksOf("page", "```ts\nx\n"), Error, "page:1");
});

test("README and docs/building.md name the same packages of Debian", () => {
  const lines = ["README.md", "docs/building.md"].map((page) =>
    /sudo apt install [\w +-]+/.exec(readPage(ROOT, page))?.[0].trim()
  );
  assertMatch(lines[0]!, /g\+\+ cmake/);
  assertEquals(lines[1], lines[0]);
});
