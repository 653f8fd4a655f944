// Makes the tables of the pages from committed files: bench/results, the catalogue, the statuses of families.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { CLASSES } from "../../bench/machine.ts";
import { nameByClass, type Noted } from "../../bench/noted.ts";
import type { Parity, ParityRow } from "../../bench/parity_table.ts";
import type { Near } from "../../bench/parity_types.ts";
import { STATUSES } from "../../bench/parity_statuses.ts";
import { outcomeOf, type Tried } from "../../packages/counts.ts";
import { PLATFORMS, SHIMS } from "../../packages/platforms.ts";
import { catalogue } from "../../src/models/catalogue.ts";
import { serveErrors, serveOptions } from "./serve_tables.ts";

/** What stands between `<!-- docs: NAME -->` and `<!-- /docs -->`, by name. */
export function tables(root: string): Readonly<Record<string, () => string>> {
  const read = <T>(name: string): T => JSON.parse(readFileSync(join(root, "bench/results", `${name}.json`), "utf8"));
  const noted = (name: string) => () => notedTable(read<Noted>(name));
  /** As `noted`, or the command that measures, as long as its figures are not there. */
  const notedBy = (bench: string, name = bench) => () =>
    existsSync(join(root, "bench/results", `${name}.json`))
      ? noted(name)()
      : `Not measured yet: \`deno task bench:${bench} --write\`.`;
  /** The same of every class of processors that has figures. */
  const byClass = (name: string, bench = "bench") => () => {
    const files = CLASSES.map((one) => [one, nameByClass(name, one)] as const);
    const there = files.filter(([, file]) => existsSync(join(root, "bench/results", `${file}.json`)));
    if (there.length === 0) return `Not measured yet: \`deno task ${bench} --write\`.`;
    return there.map(([one, file]) => `On a processor with ${one}:\n\n${noted(file)()}`).join("\n\n");
  };
  const parity = () => read<Parity>("parity");
  return {
    figures: () => figures(parity(), read<Noted>(nameByClass("paragraphs", "AMX"))),
    catalogue: catalogueTable,
    embedders: () => embedderTable(parity()),
    rerankers: () => rerankerTable(parity()),
    types: () => typeTable(parity()),
    statuses: () =>
      table(["family", "is", "because"], STATUSES.map(({ family, status, why }) => [family, status, why]), 3),
    paragraphs: byClass("paragraphs"),
    workloads: byClass("workloads"),
    weights: byClass("weights", "bench:weights"),
    operators: byClass("operators", "bench:operators"),
    targets: byClass("targets"),
    quality: noted("quality"),
    jobs: notedBy("jobs"),
    worker: notedBy("worker"),
    "worker-targets": notedBy("worker", "worker-targets"),
    serve: notedBy("serve"),
    "serve-targets": notedBy("serve", "serve-targets"),
    "serve-causes": notedBy("serve", "serve-causes"),
    "serve-options": () => table(["option", "variable", "what it does"], serveOptions(), 3),
    "serve-errors": () => table(["what is wrong", "OpenAI", "rerank", "TEI", "Ollama"], serveErrors(), 5),
    platforms: () => platformTable(read<Readonly<Record<string, Tried>>>("prebuilt")),
  };
}

/** Puts every table of a page in its place. */
export function withTables(page: string, text: string, made: ReturnType<typeof tables>): string {
  return text.replace(/<!-- docs: (\S+) -->\n[^]*?<!-- \/docs -->/g, (_, name: string) => {
    const make = made[name];
    if (!make) throw new RangeError(`${page}: there is no table "${name}", only ${Object.keys(made).join(", ")}`);
    return `<!-- docs: ${name} -->\n\n${make()}\n\n<!-- /docs -->`;
  });
}

/** A page's text without what `deno fmt` does to tables: the width of columns and empty lines. */
export function unformatted(text: string): string {
  const cell = (one: string) => one.trim().replace(/^(:?)-+(:?)$/, "$1-$2");
  const lines = text.split("\n").map((line) =>
    line.startsWith("|") ? line.split("|").map(cell).join("|") : line.trim()
  );
  return lines.filter((line) => line !== "").join("\n");
}

/** README's two lines: one figure of exactness, one of speed. */
function figures({ rows }: Parity, paragraphs: Noted): string {
  const real = rows.find(({ family, weights }) => family === "all-MiniLM-L6-v2" && weights === "f32");
  if (!real) {
    throw new Error("bench/results/parity.json has no all-MiniLM-L6-v2: get the model, then deno task parity --write");
  }
  const speed = (name: string) => paragraphs.rows.find(([contender]) => contender === name)![2]!;
  const { tokens, cosine, maxAbs } = real;
  return [
    `- **Exact**: all-MiniLM-L6-v2 with f32 weights, ${tokens!.of} texts, against sentence-transformers: ${
      tokens!.equal === tokens!.of ? "every token id equal" : `tokens of ${tokens!.equal} texts equal`
    }, smallest cosine ${cosine!.min.toFixed(7)}, no number of a vector off by more than ${maxAbs.toExponential(1)}.`,
    "  [docs/accuracy.md](docs/accuracy.md) has every family and type of weights.",
    `- **Fast**: each program at its best setting, 2 cores with AMX, paragraphs a second: ${
      speed("Deno")
    } on Deno and ${speed("Bun")} on Bun (bf16); OpenVINO, the best of the peers, ${
      speed("OpenVINO")
    } (bf16), libllama in C++ alone ${speed("ceiling")} (f32).`,
    "  [docs/speed.md](docs/speed.md) has the peers, the settings and other workloads.",
  ].join("\n");
}

function catalogueTable(): string {
  const rows = Object.entries(catalogue).map(([name, { kind, repository, licence, maxTokens, prompts, verified }]) => [
    `\`${name}\``,
    kind,
    String(maxTokens),
    prompts.query || prompts.document ? "yes" : "",
    licence,
    verified ? "yes" : "",
    repository,
  ]);
  return table(["name", "kind", "tokens", "prompts", "licence", "verified", "repository"], rows, 2, 1);
}

function embedderTable(parity: Parity): string {
  const families = byFamily(parity.rows).filter(([first]) => first!.cosine !== undefined);
  const rows = families.map((family) => {
    const [f32, bf16, q8] = ["f32", "bf16", "q8_0"].map((type) => family.find(({ weights }) => weights === type)!);
    return [
      f32!.family,
      tokensOf(family),
      f32!.maxAbs.toExponential(1),
      ...[bf16, q8].map((one) => `${one!.cosine!.min.toFixed(5)} / ${one!.cosine!.mean.toFixed(5)}`),
      q8!.rank.toFixed(4),
    ];
  });
  const columns = [
    "family",
    "tokens equal",
    "f32: max abs",
    "bf16: cosine min / mean",
    "q8_0: cosine min / mean",
    "q8_0: order",
  ];
  const least = Math.min(
    ...families.flat().filter(({ weights }) => weights === "f32").map(({ cosine }) => cosine!.min),
  );
  return [
    table(columns, rows, 1),
    "",
    `"Max abs" is the largest difference of any number of a vector; vectors have length 1. With f32 weights every cosine is at least ${
      least.toFixed(7)
    }. "Order" is Spearman's rank correlation of the texts by their similarity to one of them.`,
    "",
    source(parity),
  ].join("\n");
}

function rerankerTable(parity: Parity): string {
  const rows = byFamily(parity.rows).filter(([first]) => first!.range !== undefined).map((family) => [
    family[0]!.family,
    tokensOf(family),
    family[0]!.range!.toFixed(1),
    ...["f32", "bf16", "q8_0"].map((type) => family.find(({ weights }) => weights === type)!.maxAbs.toExponential(1)),
    family.find(({ weights }) => weights === "q8_0")!.rank.toFixed(4),
  ]);
  const columns = ["family", "pairs with equal tokens", "range of logits", "f32", "bf16", "q8_0", "q8_0: order"];
  return [
    table(columns, rows, 1),
    "",
    "The columns of weights hold the largest difference of a logit.",
    "",
    source(parity),
  ].join("\n");
}

function typeTable(parity: Parity): string {
  const near = ({ cosine, maxAbs }: Near) => `${cosine.toFixed(6)}, ${maxAbs.toExponential(1)}`;
  const rows = parity.types.map(({ family, weights, original, ours, stock }) => [
    family,
    weights,
    ...[original, ours, stock].map(near),
  ]);
  const columns = ["family", "weights", "to the original", "to its own weights", "llama.cpp to them"];
  return [table(columns, rows, 2), "", source(parity)].join("\n");
}

/** What `deno task prebuilt:test --write` has noted of each package. */
function platformTable(noted: Readonly<Record<string, Tried>>): string {
  const rows = [...PLATFORMS, ...SHIMS].map(({ name, needs }) => {
    return [`\`${name}\``, needs, outcomeOf(noted[name])];
  });
  return table(["prebuilt library", "needs", "what passed"], rows, 3);
}

/** All rows of each family, in the order of the file. */
function byFamily(rows: readonly ParityRow[]): ParityRow[][] {
  return [...new Set(rows.map(({ family }) => family))].map((name) => rows.filter(({ family }) => family === name));
}

/** Of how many texts or pairs the tokens are equal; they do not depend on the weights. */
function tokensOf(family: readonly ParityRow[]): string {
  const all = new Set(family.map(({ tokens }) => tokens ? `${tokens.equal} of ${tokens.of}` : "as the logits show"));
  return [...all].join(", ");
}

function source({ command, date, machine }: Parity): string {
  return `Printed by \`${command}\` on ${date}: ${machine.cpu} (${machine.instructions}), ${machine.versions}.`;
}

function notedTable({ command, noted, machine, versions, method, columns, align, rows }: Noted): string {
  const words = align.findIndex((side) => side === "right");
  const first = words < 0 ? columns.length : words;
  return [
    table(columns, rows, first),
    "",
    `${
      command ? `Printed by \`${command}\`, noted` : "Noted by hand"
    } on ${noted}: ${method}. Machine: ${machine}; ${versions}.`,
  ].join("\n");
}

/** A Markdown table whose columns from `first` on are aligned right, `count` of them. */
function table(
  columns: readonly string[],
  rows: readonly (readonly string[])[],
  first: number,
  count: number = columns.length,
): string {
  const right = (i: number) => i >= first && i < first + count;
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(columns), line(columns.map((_, i) => right(i) ? "---:" : "---")), ...rows.map(line)].join("\n");
}
