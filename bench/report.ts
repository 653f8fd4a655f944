/** The figures as Markdown. */
import type { Run } from "./contender.ts";
import { type Cell, type Configuration, nameOf } from "./grid.ts";
import type { Machine } from "./machine.ts";
import { type Distance, median } from "./statistics.ts";

/** What one contender did by round; the runs of a round were made one after another. */
export interface Measured {
  readonly name: string;
  readonly runs: readonly Run[];
  /** From the vectors of the ceiling, which has none. */
  readonly distance: Distance | undefined;
}

/** Many calls against one, on one runtime, by round. */
export interface Singles {
  readonly name: string;
  readonly together: readonly Run[];
  readonly singles: readonly Run[];
}

/** All figures of one model; the ceiling is the first contender. */
export interface ModelReport {
  readonly model: string;
  readonly texts: number;
  readonly grid: readonly Cell[];
  readonly best: Configuration;
  readonly contenders: readonly Measured[];
}

/** One line on where this ran. */
export function machineLine(machine: Machine): string {
  const { cpu, cores, instructions, system, versions, load } = machine;
  return `${cpu}, ${cores} cores (${instructions}), ${system}; ${versions}; load ${load.toFixed(1)} at the start`;
}

/** The table of a model. */
export function modelTable({ model, texts, grid, best, contenders }: ModelReport): string {
  const ceiling = contenders[0]!;
  const rows = contenders.map(({ name, runs, distance }) => {
    const speeds = runs.map(({ seconds }) => texts / seconds);
    return [
      name,
      median(speeds).toFixed(1),
      `${Math.min(...speeds).toFixed(1)}–${Math.max(...speeds).toFixed(1)}`,
      ratios(ceiling.runs, runs, "seconds"),
      ratios(ceiling.runs, runs, "cpu"),
      distance ? distance.maxAbs.toExponential(1) : "",
      distance ? `${distance.minCosine.toFixed(6)} / ${distance.meanCosine.toFixed(6)}` : "",
    ];
  });
  const columns = ["", "texts/s", "spread", "of the ceiling", "by processor time", "max abs", "cosine min / mean"];
  return [
    `## ${model}, ${texts} paragraphs, ${ceiling.runs.length} rounds`,
    ...(grid.length > 0 ? [gridTable(grid, texts)] : []),
    `The ceiling: ${nameOf(best)}.`,
    table(columns, rows),
  ].join("\n\n");
}

/** The table of many calls against one. */
export function singlesTable(model: string, texts: number, all: readonly Singles[]): string {
  const speed = (runs: readonly Run[]) => (texts / median(runs.map(({ seconds }) => seconds))).toFixed(1);
  const rows = all.map(({ name, together, singles }) => [
    name,
    speed(together),
    speed(singles),
    ratios(together, singles, "seconds"),
    ratios(together, singles, "cpu"),
  ]);
  const columns = ["texts/s", "one call", `${texts} calls at once`, "calls of one call", "by processor time"];
  return `## ${model}, ${texts} texts\n\n${table(columns, rows)}`;
}

/** Texts a second of each configuration, one round. */
function gridTable(grid: readonly Cell[], texts: number): string {
  const nameOfColumn = ({ lanes, threads, flash }: Cell) =>
    `${lanes} × ${threads}, flash ${flash === 1 ? "on" : "off"}`;
  const columns = [...new Set(grid.map(nameOfColumn))];
  const packs = [...new Set(grid.map(({ pack }) => pack))];
  const rows = packs.map((pack) => [
    String(pack),
    ...columns.map((column) => {
      const cell = grid.find((one) => one.pack === pack && nameOfColumn(one) === column);
      return cell ? (texts / cell.seconds).toFixed(1) : "";
    }),
  ]);
  return table(["texts/s of packs of", ...columns], rows);
}

/** How fast the second is compared to the first: the median of the rounds' ratios, and their spread. */
function ratios(first: readonly Run[], second: readonly Run[], clock: keyof Run): string {
  const all = first.map((run, round) => run[clock] / second[round]![clock]);
  return `${median(all).toFixed(3)} (${Math.min(...all).toFixed(2)}–${Math.max(...all).toFixed(2)})`;
}

/** A Markdown table, whose first columns are words. */
export function table(columns: readonly string[], rows: readonly (readonly string[])[], words = 1): string {
  const rule = columns.map((_, i) => i < words ? "---" : "---:");
  return [columns, rule, ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}
