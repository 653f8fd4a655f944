// The bench of the server: what hey prints is read, ratios and promises are as they should be, and each part runs.
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NAMES } from "../../bench/serve/cells.ts";
import { Engine, Server } from "../../bench/serve/contenders.ts";
import { asked, mixed, readHey } from "../../bench/serve/load.ts";
import type { Job, Sample } from "../../bench/serve/sample.ts";
import { causes, figures, type Measured, verdicts } from "../../bench/serve/tables.ts";
import { RUNTIMES } from "../../bench/ours_peer.ts";
import { ROOT } from "../support/child.ts";
import { RUNTIME } from "../support/program.ts";
import { libraryMissing } from "../support/references.ts";

const HEY = `
Summary:
  Total:	2.0000 secs
  Slowest:	0.0093 secs
  Requests/sec:	100.0

Latency distribution:
  50% in 0.0002 secs
  95% in 0.0060 secs
  99% in 0.0091 secs

Status code distribution:
  [200]	184 responses
  [429]	16 responses

Error distribution:
  [8]	Post "http://127.0.0.1:1/": dial tcp 127.0.0.1:1: connect: connection refused
`;

test("readHey() takes the answered texts a second, the latencies and the errors of what hey prints", () => {
  const { p50, p95, p99, ...rest } = readHey(HEY, 64);
  assertEquals(rest, { textsPerSecond: 184 * 64 / 2, errors: 24 });
  assertEquals([p50, p95, p99].map((one) => one.toFixed(1)), ["0.2", "6.0", "9.1"]);
  const few = readHey(HEY.replace(/^.*99% in.*\n/m, ""), 1);
  assertEquals(few.p99.toFixed(1), "9.3"); // the slowest, where hey had too few for a part
});

const sample = (textsPerSecond: number, p50: number, p99: number, more: Partial<Sample> = {}): Sample => ({
  ...{ textsPerSecond, p50, p95: p99, p99, errors: 0 },
  ...more,
});

test("figures() and verdicts() compare within a round, by the class of the processor", () => {
  const measured: Measured[] = [];
  const add = (cell: string, name: string, ...rounds: Sample[]): void => {
    for (const one of rounds) measured.push({ cell, name, setting: "q8_0", sample: one });
  };
  add(NAMES.wide, "Deno", sample(95, 1, 5), sample(190, 1, 5), sample(80, 1, 5));
  add(NAMES.wide, "Deno, in-process", sample(100, 1, 5), sample(200, 1, 5), sample(100, 1, 5));
  add(NAMES.wide, "llama-server", sample(50, 1, 9), sample(100, 1, 9), sample(50, 1, 9));
  add(NAMES.query, "Deno", sample(1, 5, 10));
  add(NAMES.query, "Deno, in-process", sample(1, 4, 8));
  add(NAMES.health, "Deno", sample(1, 0.5, 1));
  add(NAMES.mix, "Deno", sample(1, 9, 25));
  add(NAMES.mix, "Deno, in-process", sample(1, 9, 25, { pass: 6 }));
  const memory = new Map([["Deno", 120e6], ["Deno, in-process", 100e6]]);
  const { rows } = figures(measured, memory);
  assertEquals(rows[0], [NAMES.wide, "Deno", "q8_0", "95", "0.95", "1.0", "5.0", "5.0", "0", "120"]);
  const found = (instructions: string) =>
    Object.fromEntries(verdicts(measured, memory, instructions).rows.map(([name, ...rest]) => [name, rest]));
  const amx = found("avx512f amx_int8");
  assertEquals(amx[`${NAMES.wide}: texts/s, of one in-process call`], ["≥ 0.9", "Deno 0.95", "met"]);
  assertEquals(amx[`${NAMES.wide}: texts/s, of llama-server's (AMX)`], ["≥ 4", "Deno 1.90", "missed"]);
  assertEquals(amx[`${NAMES.wide}: p99, of llama-server's`], ["≤ 1", "Deno 0.56", "met"]);
  assertEquals(amx[`${NAMES.base64}: texts/s, of one in-process call`], ["≥ 0.9", "", "not measured"]);
  assertEquals(amx["one short query: p50 above in-process, in p50 of /healthz"], ["≤ 1.5", "Deno 2.00", "missed"]);
  assertEquals(amx["queries beside a list: p99 above p99 alone, in passes"], ["≤ 3", "Deno 2.50", "met"]);
  assertEquals(amx["peak memory, of in-process"], ["≤ 1.3", "Deno 1.20", "met"]);
  assertEquals(found("avx512f")[`${NAMES.wide}: texts/s, of llama-server's (AVX-512)`]![2], "met");
});

test("causes() has ours beside the engine, in middles of the rounds, and nothing where nothing is known", () => {
  const measured: Measured[] = [
    [NAMES.wide, "Bun", sample(1, 1, 1, { spent: { script: 0.5, others: 2 }, filled: 6 })],
    [NAMES.wide, "Bun", sample(1, 1, 1, { spent: { script: 0.7, others: 4 }, filled: 8 })],
    [NAMES.wide, "Bun, in-process", sample(1, 1, 1, { spent: { script: 0.1, others: 3 }, filled: 7 })],
    [NAMES.query, "Bun", sample(1, 1, 1)],
    [NAMES.wide, "llama-server", sample(1, 1, 1)],
  ].map(([cell, name, one]) => ({ cell, name, setting: "q8_0", sample: one }) as Measured);
  const memory = new Map([["Bun", 180e6], ["Bun, in-process", 150e6], ["llama-server", 200e6]]);
  const { columns, rows } = causes(measured, new Map([["Bun", 100e6], ["Bun, in-process", 90e6]]), memory);
  assertEquals(columns, ["", "Bun", "Bun, in-process"]);
  assertEquals(rows.map((row) => row.slice(1)), [
    ...[["0.60", "0.10"], ["3.00", "3.00"], ["7.0", "7.0"]], // 64 × 1 text
    ...[["", ""], ["", ""], ["", ""]], // one short query
    ...[["100", "90"], ["180", "150"]],
  ]);
});

test("the bench's server, engine and clients run on this runtime", { skip: libraryMissing }, async () => {
  const { command } = RUNTIMES.find(({ name }) => name.toLowerCase() === RUNTIME)!;
  const model = join(ROOT, "tests", "fixtures", "families", "bert_mean.gguf");
  const folder = mkdtempSync(join(tmpdir(), "llamasaur-bench-"));
  try {
    const texts = Array.from({ length: 8 }, (_, i) => `a text of some words ${i}`);
    const job: Job = { texts, query: "a query", documents: ["one", "two"] };
    writeFileSync(join(folder, "job.json"), JSON.stringify(job));
    await using engine = await Engine.start(command, model, join(folder, "job.json"));
    await using server = await Server.ours(command, "embed", model);
    const samples = [
      await engine.do("embed 0.2 8"),
      await engine.do("query 0.2"),
      await engine.do("mix 0.2"),
      await asked(server.url, "/healthz", 0.2),
      await asked(server.url, "/v1/embeddings", 0.2, { input: "a query" }),
      await mixed(server.url, { input: texts }, texts.length, { input: "a query" }, 0.2),
    ];
    for (const [i, { textsPerSecond, p50, p99, errors }] of samples.entries()) {
      assert(textsPerSecond > 0 && p50 > 0 && p99 >= p50 && errors === 0, `${i}: ${JSON.stringify(samples[i])}`);
    }
    const { passes, sequences } = await server.passes();
    assert(sequences >= passes && passes > 0 && samples[0]!.filled! >= 1, `${sequences} in ${passes}`);
    assert(engine.spent.others > 0 === server.spent.script > 0);
    assert(samples[2]!.pass! > 0 && engine.memory > 0 === server.memory > 0);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
