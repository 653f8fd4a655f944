/** Figures with their origin, as bench/results keeps them: `deno task docs` makes the tables of the pages from these files. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { knownClassOf, type Machine, type ProcessorClass } from "./machine.ts";
import type { Parity } from "./parity_table.ts";
import { processorWords } from "./report.ts";

/** A table and where its figures come from. */
export interface Noted {
  /** Empty if it was put together by hand, as of a machine that had to be given back. */
  readonly command: string;
  /** The day of the figures, or the day when they were noted. */
  readonly noted: string;
  readonly machine: string;
  readonly versions: string;
  readonly method: string;
  readonly columns: readonly string[];
  readonly align: readonly ("left" | "right")[];
  readonly rows: readonly (readonly string[])[];
}

/** Columns and rows of a table whose first `words` columns are words. */
export interface Figures {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly words: number;
}

/** Figures of today with their origin. */
export function noted(command: string, machine: Machine, method: string, { columns, rows, words }: Figures): Noted {
  return {
    command,
    noted: new Date().toISOString().slice(0, 10),
    machine: `${processorWords(machine)}, ${machine.cores} cores, ${machine.system}`,
    versions: machine.versions,
    method,
    columns,
    align: columns.map((_, i) => i < words ? "left" : "right"),
    rows,
  };
}

/** Writes bench/results/NAME-CLASS.json: a class of processors that is not at hand keeps its last figures. */
export function keepByClass(name: string, machine: Machine, figures: Noted): void {
  keep(nameByClass(name, knownClassOf(machine)), figures);
}

/** The name of the file that has a class's figures, without its suffix. */
export function nameByClass(name: string, processor: ProcessorClass): string {
  return `${name}-${processor.toLowerCase().replace("-", "")}`;
}

/** Writes bench/results/NAME.json, one row of a table a line, so that a difference shows its row. */
export function keep(name: string, figures: Noted | Parity): void {
  const rowsAsText = (key: string, value: unknown) =>
    (key === "rows" || key === "types") && Array.isArray(value) ? value.map((row) => JSON.stringify(row)) : value;
  const text = JSON.stringify(figures, rowsAsText, 1).replace(/^ {2}("[{[].*")/gm, (_, row) => `  ${JSON.parse(row)}`);
  writeFileSync(join(fileURLToPath(new URL("results", import.meta.url)), `${name}.json`), `${text}\n`);
}
