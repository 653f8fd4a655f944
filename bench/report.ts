/** Words and tables that every report has. */
import type { Machine } from "./machine.ts";

/** One line on where this ran. */
export function machineLine(machine: Machine): string {
  const { cores, system, versions, load } = machine;
  return `${processorWords(machine)}, ${cores} cores, ${system}; ${versions}; load ${load.toFixed(1)} at the start`;
}

/** A processor, its instructions, and what of it was hidden. */
export function processorWords({ cpu, instructions, hidden }: Machine): string {
  return `${cpu} (${instructions}${hidden === undefined ? "" : `; ${hidden}`})`;
}

/** A Markdown table, whose first columns are words. */
export function table(columns: readonly string[], rows: readonly (readonly string[])[], words = 1): string {
  const rule = columns.map((_, i) => i < words ? "---" : "---:");
  return [columns, rule, ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}
