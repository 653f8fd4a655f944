/** The results as Markdown. */
import { accuracyLine } from "./bench.ts";
import { classOf, type ProcessorClass } from "./machine.ts";
import { isOurs, nameBefore, RUNTIMES } from "./ours_peer.ts";
import { machineLine, table } from "./report.ts";
import { type Accuracy, latencyOf, type Measured, type Results, secondsOf, speedup } from "./results.ts";
import type { WorkloadResult } from "./results.ts";
import type { Figures } from "./noted.ts";
import { median, type Ratio } from "./statistics.ts";
import { targets } from "./targets.ts";

/** The whole report; `judged` are the workloads that the targets look at. */
export function markdown(results: Results, judged: readonly WorkloadResult[] = results.workloads): string {
  const processor = classOf(results.machine);
  return [
    `Measured ${results.date.slice(0, 10)} at ${results.commit}, ${results.size} size. ${
      machineLine(results.machine)
    }.`,
    ...results.workloads.map(workloadSection),
    processor ? `## Targets with ${processor}` : "## Targets: none are known for this processor",
    ...(processor ? [tableOf(verdicts(judged, processor))] : []),
  ].join("\n\n") + "\n";
}

/** What is promised for a class of processors, and what was found. */
export function verdicts(judged: readonly WorkloadResult[], processor: ProcessorClass): Figures {
  const rows = targets(judged, processor).map(({ name, goal, found, verdict }) => [name, goal, found, verdict]);
  return { columns: ["", "target", "measured", ""], rows, words: 4 };
}

/** A workload's heading, table, and search. */
export function workloadSection(result: WorkloadResult): string {
  const { title, contenders, tokens, truth, latency } = result;
  const count = Math.max(...contenders.map(({ texts }) => texts), 0);
  const about = [
    ...(tokens === undefined ? [] : [`${count} texts, ${tokens} tokens of MiniLM's vocabulary.`]),
    ...(truth === undefined ? [] : [`Compared with ${truth}.`]),
  ];
  const shown = contenders.some(({ turns }) => turns.length > 0) || contenders.length === 0;
  return [
    `## ${title}`,
    ...(about.length > 0 ? [about.join(" ")] : []),
    ...(shown ? [tableOf(latency ? latencyFigures(result) : speedFigures(result))] : []),
    ...sinceBefore(contenders),
    ...failures(contenders),
    ...searches(contenders),
  ].join("\n\n");
}

function tableOf({ columns, rows, words }: Figures): string {
  return table(columns, rows, words);
}

/** How fast each contender was. */
export function speedFigures({ contenders, reference }: WorkloadResult): Figures {
  const rows = contenders.filter(hasTurns).map((one) => {
    const base = referenceOf(one, contenders, reference);
    const speeds = one.turns.flatMap((turn) => turn ? [one.texts / turn.seconds] : []);
    return [
      one.name,
      one.candidate?.name ?? "",
      plain(median(speeds)),
      `${plain(Math.min(...speeds))}–${plain(Math.max(...speeds))}`,
      ratio(base && speedup(one, base)),
      ratio(base && speedup(one, base, "cpu")),
      ...common(one),
    ];
  });
  const base = reference || "the first";
  const columns = ["", "setting", "texts/s", "spread", `of ${base}`, "by processor time", ...COMMON];
  return { columns, rows, words: 2 };
}

/** One row a workload: the reference, the best of the peers, and us. */
export function overview(workloads: readonly WorkloadResult[]): Figures {
  const rows = workloads.map(({ title, latency, contenders, reference }) => {
    const able = contenders.filter(hasTurns);
    const [base, deno, bun] = [reference, "Deno", "Bun"].map((name) => able.find((one) => one.name === name));
    const figure = (one: Measured | undefined) => {
      const seconds = one && secondsOf(one);
      if (seconds === undefined) return "";
      return latency ? (seconds * 1000).toFixed(2) : plain(one!.texts / seconds);
    };
    const rate = (one: Measured) => one.texts / secondsOf(one)!;
    const peers = able.filter((one) => one !== base && !isOurs(one.name)).sort((a, b) => rate(b) - rate(a));
    const of = (one: Measured | undefined) => ratio(one && base && speedup(one, base));
    const name = `${title}, ${latency ? "ms" : "texts/s"}`;
    const best = peers[0] ? `${figure(peers[0])} (${peers[0].name})` : "";
    return [name, figure(base), best, figure(deno), figure(bun), of(deno), of(bun)];
  });
  const columns = ["workload", "ceiling", "best peer", "Deno", "Bun", "Deno of the ceiling", "Bun of the ceiling"];
  return { columns, rows, words: 1 };
}

function latencyFigures({ contenders, reference }: WorkloadResult): Figures {
  const rows = contenders.filter(hasTurns).map((one) => {
    const base = referenceOf(one, contenders, reference);
    const milliseconds = (seconds: number | undefined) => seconds === undefined ? "" : (seconds * 1000).toFixed(2);
    return [
      one.name,
      one.candidate?.name ?? "",
      milliseconds(latencyOf(one, 0.5) ?? secondsOf(one)),
      milliseconds(latencyOf(one, 0.99)),
      ratio(base && speedup(base, one)),
      ...common(one),
    ];
  });
  const columns = ["", "setting", "ms, p50", "p99", `times ${reference || "the first"}`, ...COMMON];
  return { columns, rows, words: 2 };
}

/** How fast this version is against another one on the same runtime, where there is one. */
function sinceBefore(contenders: readonly Measured[]): string[] {
  const rows = RUNTIMES.flatMap(({ name }) => {
    const [now, before] = [name, nameBefore(name)].map((one) => contenders.find((other) => other.name === one));
    const [time, cpu] = now && before ? [speedup(now, before), speedup(now, before, "cpu")] : [];
    return time ? [[name, exactly(time), cpu ? exactly(cpu) : "", String(time.rounds)]] : [];
  });
  return rows.length === 0 ? [] : [table(["", "times as fast as before", "by processor time", "rounds"], rows)];
}

function exactly({ median, least, most }: Ratio): string {
  return `${median.toFixed(3)} (${least.toFixed(2)}–${most.toFixed(2)})`;
}

const COMMON = ["cosine min / mean", "max abs", "peak MB", "load s"];

function common({ accuracy, peakBytes, ready }: Measured): string[] {
  return [
    accuracy ? nearness(accuracy) : "",
    accuracy ? accuracy.maxAbs.toExponential(1) : "",
    peakBytes ? (peakBytes / 1e6).toFixed(0) : "",
    typeof ready?.["load"] === "number" ? ready["load"].toFixed(2) : "",
  ];
}

function nearness({ minCosine, meanCosine, spearman }: Accuracy): string {
  if (minCosine === undefined) return `rank ${spearman!.toFixed(4)}`;
  return `${minCosine.toFixed(6)} / ${meanCosine!.toFixed(6)}`;
}

/** Whom it is compared with. */
export function referenceOf(one: Measured, all: readonly Measured[], reference: string): Measured | undefined {
  return all.find(({ name }) => name === (one.reference ?? reference));
}

function hasTurns({ turns }: Measured): boolean {
  return turns.some((turn) => turn !== undefined);
}

function failures(contenders: readonly Measured[]): string[] {
  const failed = contenders.flatMap(({ name, error }) =>
    error === undefined ? [] : [`- ${name} failed: ${error.replaceAll("\n", " ")}`]
  );
  return failed.length > 0 ? [failed.join("\n")] : [];
}

function searches(contenders: readonly Measured[]): string[] {
  const rows = contenders.filter(({ search }) => search.length > 1).flatMap(({ name, search, candidate }) =>
    search.map((cell) => [
      name,
      cell.candidate === candidate ? `**${cell.candidate.name}**` : cell.candidate.name,
      cell.error?.replaceAll("\n", " ").replaceAll("|", "/") ?? cell.seconds.map((s) => s.toFixed(3)).join(", "),
      cell.accuracy ? accuracyLine(cell.accuracy) : "",
    ])
  );
  if (rows.length === 0) return [];
  return [
    "<details>\n<summary>The search: seconds of each candidate on a sample</summary>",
    table(["", "candidate", "s", "accuracy"], rows, 4),
    "</details>",
  ];
}

function ratio(found: Ratio | undefined): string {
  return found ? `${found.median.toFixed(2)} (${found.least.toFixed(2)}–${found.most.toFixed(2)})` : "";
}

function plain(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
