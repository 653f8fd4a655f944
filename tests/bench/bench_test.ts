import { test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { classOf } from "../../bench/machine.ts";
import { isOurs } from "../../bench/ours_peer.ts";
import { fartherThanNoted, type ParityRow } from "../../bench/parity_table.ts";
import type { Candidate } from "../../bench/peer.ts";
import { accuracyOf, type Cell, type Measured, speedup, type WorkloadResult } from "../../bench/results.ts";
import { treeOf } from "../../bench/resources.ts";
import { turnsOf } from "../../bench/rounds.ts";
import { best } from "../../bench/search.ts";
import { quantile, ratioOf, spearman } from "../../bench/statistics.ts";
import { markdown, overview, workloadSection } from "../../bench/tables.ts";
import { targets } from "../../bench/targets.ts";
import { spans } from "../../bench/texts.ts";
import process from "node:process";

test("turnsOf() begins each round with another contender and leaves out who has used his time", () => {
  assertEquals(turnsOf(0, [0, 0, 0], 5), [0, 1, 2]);
  assertEquals(turnsOf(1, [1, 9, 1], 5), [2, 0]);
  assertEquals(turnsOf(2, [6, 9, 5], 5), []);
  assertEquals(turnsOf(0, [7, 7], 5), [0, 1], "everybody has one turn");
});

test("quantile() gives what a part of the numbers does not exceed", () => {
  const hundred = Array.from({ length: 100 }, (_, i) => 100 - i);
  assertEquals([quantile(hundred, 0.5), quantile(hundred, 0.99), quantile([3], 0.99)], [50, 99, 3]);
});

test("ratioOf() compares only rounds that both have", () => {
  assertEquals(ratioOf([2, undefined, 6], [1, 5, 2]), { median: 2.5, least: 2, most: 3, rounds: 2 });
  assertEquals(ratioOf([undefined], [1]), undefined);
});

test("spearman() is 1 for the same order, -1 for the opposite, and shares ties", () => {
  assertEquals(spearman([1, 2, 3], [10, 20, 300]), 1);
  assertEquals(spearman([1, 2, 3], [3, 2, 1]), -1);
  assertEquals(spearman([1, 1, 2], [1, 1, 2]), 1);
  assert(Math.abs(spearman([1, 2, 3, 4], [1, 3, 2, 4]) - 0.8) < 1e-12);
});

test("spans() gives every run of words once", () => {
  assertEquals(spans(["a", "b", "c"], [2]).sort(), ["a b", "b c"]);
  assertEquals(spans(["a", "a", "a"], [2]), ["a a"]);
});

function candidate(name: string): Candidate {
  return { name, type: name, settings: {} };
}

function cell(name: string, seconds: number[], minCosine: number): Cell {
  return { candidate: candidate(name), seconds, accuracy: { maxAbs: 0, minCosine, meanCosine: 1 } };
}

test("best() is the fastest of those that are near enough", () => {
  const cells = [cell("fast", [1], 0.9), cell("near", [5, 2], 0.9995), cell("slow", [3], 1)];
  assertEquals(best(cells, 0.999)?.name, "near");
  assertEquals(best(cells, undefined)?.name, "fast");
  assertEquals(best(cells.slice(0, 1), 0.999)?.name, "fast", "none is near enough");
  assertEquals(best([{ candidate: candidate("x"), seconds: [], error: "hung" }], 0.999), undefined);
});

test("accuracyOf() compares vectors by cosine and scores by rank", () => {
  const [a, b] = [Float32Array.of(1, 0, 0, 1), Float32Array.of(1, 0, 0.6, 0.8)];
  const { minCosine, meanCosine } = accuracyOf("embed", a, b, 2);
  assert(Math.abs(minCosine! - 0.8) < 1e-6 && Math.abs(meanCosine! - 0.9) < 1e-6);
  assertEquals(accuracyOf("rerank", Float32Array.of(1, 2), Float32Array.of(2, 4), 2), { maxAbs: 2, spearman: 1 });
  assertThrows(() => accuracyOf("embed", a, b.subarray(1), 2), Error, "3 numbers where 4 are right");
});

function measured(name: string, seconds: (number | undefined)[], peakBytes = 1): Measured {
  return {
    ...{ name, texts: 10, search: [], peakBytes, candidate: candidate("bf16") },
    turns: seconds.map((s) => s === undefined ? undefined : { seconds: s, cpu: 2 * s }),
  };
}

function paragraphs(...contenders: Measured[]): WorkloadResult {
  return { name: "paragraphs", title: "Mixed paragraphs", reference: "ceiling", latency: false, contenders };
}

test("speedup() is the median of the rounds' ratios, by text", () => {
  const [one, other] = [measured("Deno", [1, 2, 1]), measured("ceiling", [2, 2, undefined])];
  assertEquals(speedup(one, other), { median: 1.5, least: 1, most: 2, rounds: 2 });
  assertEquals(speedup(one, { ...other, texts: 20 })?.median, 0.75);
});

test("targets() judges by the worse runtime and says what was not measured", () => {
  const result = paragraphs(
    measured("ceiling", [2, 2]),
    measured("Deno", [1, 1]),
    measured("Bun", [4, 4]),
    measured("llama-server", [8, 8]),
  );
  const of = (name: string) => targets([result], "AMX").find((one) => one.name.startsWith(name))!;
  assertEquals(of("paragraphs: speed, of the ceiling's").verdict, "missed");
  assertEquals(of("paragraphs: speed, of the ceiling's").found, "Deno 2.00, Bun 0.50");
  assertEquals(of("paragraphs: of llama-server's best").verdict, "met");
  assertEquals(of("paragraphs: of the best peer, llama-server").found, "Deno 8.00, Bun 2.00");
  assertEquals(of("causal embedder").verdict, "not measured");
});

test("targets() asks of each class of processors what was promised for it", () => {
  const all = [measured("Deno", [2]), measured("Bun", [2]), measured("Deno, f32", [4]), measured("Bun, f32", [5])];
  const fp32 = { ...measured("CTranslate2", [4]), candidate: candidate("float32") };
  const result = paragraphs(...all, fp32, measured("OpenVINO", [3.5]));
  const of = (name: string) => targets([result], "AVX2").find((one) => one.name.startsWith(name));
  assertEquals(of("paragraphs: of the best peer, OpenVINO")?.goal, "≥ 1.5");
  assertEquals(of("paragraphs: f32, of the best fp32, CTranslate2")?.found, "Deno 1.00, Bun 0.80");
  assertEquals(of("one short query: latency of f32")?.verdict, "not measured");
  assert(targets([result], "AMX").every(({ name }) => !name.includes("f32,")), "of f32 nothing is promised there");
});

test("classOf() names the best that a processor has", () => {
  assertEquals(classOf({ instructions: "avx avx2 avx512bw amx_bf16" }), "AMX");
  assertEquals(classOf({ instructions: "avx avx2 avx512f avx512bw" }), "AVX-512");
  assertEquals(classOf({ instructions: "avx avx2 avx512f" }), "AVX2", "without BW there are no kernels of it");
  assertEquals(classOf({ instructions: "asimddp" }), "NEON");
  assertEquals(classOf({ instructions: "unknown" }), undefined);
});

test("workloadSection() shows ratios, the search, and why a contender is missing", () => {
  const deno = { ...measured("Deno", [1]), search: [cell("bf16", [1], 1), cell("q8_0", [2], 1)] };
  const failed: Measured = { name: "other", texts: 10, search: [], turns: [], error: "Cannot be had" };
  const text = workloadSection(paragraphs(measured("ceiling", [2]), deno, failed));
  assert(text.includes("| Deno | bf16 | 10.0 | 10.0–10.0 | 2.00 (2.00–2.00) | 2.00 (2.00–2.00) |"), text);
  assert(text.includes("- other failed: Cannot be had") && text.includes("| Deno | q8_0 | 2.000 |"), text);
});

test("workloadSection() compares with another version of the same runtime, round by round", () => {
  const both = [measured("Deno", [1, 2]), measured("before, Deno", [2, 2]), measured("Bun", [1, 1])];
  const text = workloadSection(paragraphs(measured("ceiling", [2, 2]), ...both));
  assert(text.includes("| Deno | 1.500 (1.00–2.00) | 1.500 (1.00–2.00) | 2 |"), text);
  assertEquals(text.match(/^\| Bun \|/gm)?.length, 1, "Bun has no other version");
  assertEquals(["before, Bun", "Deno, no shared prefix", "Denote"].map(isOurs), [true, true, false]);
});

test("overview() names the best peer of each workload, which is no version of us", () => {
  const all = [measured("ceiling", [2]), measured("slow", [5]), measured("near", [4]), measured("Deno", [1])];
  all.push(measured("before, Deno", [1]));
  const { columns, rows } = overview([paragraphs(...all), { ...paragraphs(all[0]!), latency: true }]);
  assertEquals(rows.map((row) => row.length), [columns.length, columns.length]);
  assertEquals(rows[0], ["Mixed paragraphs, texts/s", "5.00", "2.50 (near)", "10.0", "", "2.00 (2.00–2.00)", ""]);
  assertEquals(rows[1]!.slice(0, 4), ["Mixed paragraphs, ms", "2000.00", "", ""]);
});

test("markdown() has every workload and the targets", () => {
  const machine = { cpu: "a CPU", cores: 2, instructions: "avx2", system: "linux", versions: "1", load: 0 };
  const results = { date: "2026-01-02T03:04:05", commit: "abc", size: "smoke" as const, machine };
  const text = markdown({ ...results, workloads: [paragraphs(measured("ceiling", [1]))] });
  assert(text.includes("Measured 2026-01-02 at abc") && text.includes("## Mixed paragraphs"), text);
  assert(text.includes("## Targets"), text);
});

test("treeOf() begins with the process itself", { skip: process.platform !== "linux" }, () => {
  assertEquals(treeOf(process.pid)[0], process.pid);
});

test("fartherThanNoted() finds families whose f32 is more than twice as far off as noted, or was not measured", () => {
  const row = (family: string, weights: string, maxAbs: number): ParityRow => ({
    ...{ family, weights, maxAbs, rank: 1, beyond: [] },
  });
  const noted = [row("a", "f32", 3.1e-7), row("a", "q8_0", 0.005), row("b", "f32", 1e-7), row("c", "f32", 1e-7)];
  const rows = [row("a", "f32", 6.2e-7), row("a", "q8_0", 0.5), row("b", "f32", 2e-7), row("c", "f32", 1e-7)];
  assertEquals(fartherThanNoted(rows, noted), []);
  assertEquals(fartherThanNoted([row("a", "f32", 1.8e-4), row("b", "f32", NaN)], noted), [
    "a with f32 weights is off by 0.00018, and 3.1e-7 is noted",
    "b with f32 weights is off by NaN, and 1e-7 is noted",
    "c with f32 weights was not measured",
  ]);
});
