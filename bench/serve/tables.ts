/** Makes the tables of what was measured: figures by cell and contender, and what was promised. */
import type { Figures as Table } from "../noted.ts";
import { ratioOf } from "../statistics.ts";
import { median } from "../statistics.ts";
import { atLeast, atMost, type Figures, type Verdict } from "../targets.ts";
import { NAMES } from "./cells.ts";
import type { Sample } from "./sample.ts";

/** A sample of one round. */
export interface Measured {
  readonly cell: string;
  readonly name: string;
  readonly setting: string;
  readonly sample: Sample;
}

/** A part of a sample that is a number. */
type Figure = Exclude<keyof Sample, "spent">;

const OURS = ["Deno", "Bun"];
const THEIRS = "llama-server";
const SINGLES = [1, 8, 64, 256];

/** The figures: medians of the rounds, and texts a second as a ratio to the engine's on the same runtime. */
export function figures(measured: readonly Measured[], memory: ReadonlyMap<string, number>): Table {
  const cells = [...new Set(measured.map(({ cell }) => cell))];
  const rows = cells.flatMap((cell) => {
    const names = [...new Set(measured.filter((one) => one.cell === cell).map(({ name }) => name))];
    return names.map((name) => {
      const of = (what: Figure) => middle(measured, cell, name, what);
      const engine = OURS.includes(name) ? ratio(measured, [cell, name], [cell, `${name}, in-process`]) : undefined;
      const { setting } = measured.find((one) => one.cell === cell && one.name === name)!;
      return [
        cell,
        name,
        setting,
        of("textsPerSecond")!.toFixed(0),
        engine?.toFixed(2) ?? "",
        of("p50")!.toFixed(1),
        of("p95")!.toFixed(1),
        of("p99")!.toFixed(1),
        String(
          measured.filter((one) => one.cell === cell && one.name === name).reduce(
            (sum, { sample }) => sum + sample.errors,
            0,
          ),
        ),
        ((memory.get(name) ?? 0) / 1e6).toFixed(0),
      ];
    });
  });
  const columns = ["connections × texts", "", "setting", "texts/s", "of in-process", "p50 ms", "p95 ms", "p99 ms"];
  return { columns: [...columns, "errors", "peak MB"], rows, words: 3 };
}

/** What was promised (issue F1), by the class of the processor. */
export function verdicts(
  measured: readonly Measured[],
  memory: ReadonlyMap<string, number>,
  instructions: string,
): Table {
  const perEngine = (cell: string): Figures =>
    OURS.map((name) => [name, ratio(measured, [cell, name], [cell, `${name}, in-process`])]);
  const [processor, least] = /amx/.test(instructions)
    ? ["AMX", 4]
    : /avx512/.test(instructions)
    ? ["AVX-512", 1.8]
    : ["AVX2", 1.7];
  const all: Verdict[] = [
    atLeast(`${NAMES.wide}: texts/s, of one in-process call`, 0.9, perEngine(NAMES.wide)),
    atLeast(`${NAMES.base64}: texts/s, of one in-process call`, 0.9, perEngine(NAMES.base64)),
    atLeast(`${NAMES.floats}: texts/s, of one in-process call`, 0.85, perEngine(NAMES.floats)),
    ...SINGLES.flatMap((connections) => {
      const cell = `${connections} × 1 text`;
      const beside = (what: Figure): Figures =>
        OURS.map((name) => [name, ratio(measured, [cell, name], [cell, THEIRS], what)]);
      return [
        atLeast(`${cell}: texts/s, of llama-server's (${processor})`, Number(least), beside("textsPerSecond")),
        atMost(`${cell}: p99, of llama-server's`, 1, beside("p99")),
      ];
    }),
    atMost(
      "one short query: p50 above in-process, in p50 of /healthz",
      1.5,
      OURS.map((name) => {
        const [own, engine, health] = [
          middle(measured, NAMES.query, name, "p50"),
          middle(measured, NAMES.query, `${name}, in-process`, "p50"),
          middle(measured, NAMES.health, name, "p50"),
        ];
        return [name, own && engine && health && (own - engine) / health];
      }),
    ),
    atMost(
      "queries beside a list: p99 above p99 alone, in passes",
      3,
      OURS.map((name) => {
        const [beside, alone, pass] = [
          middle(measured, NAMES.mix, name, "p99"),
          middle(measured, NAMES.query, name, "p99"),
          middle(measured, NAMES.mix, `${name}, in-process`, "pass"),
        ];
        return [name, beside && alone && pass && (beside - alone) / pass];
      }),
    ),
    atMost(
      "peak memory, of in-process",
      1.3,
      OURS.map((name) => {
        const [own, engine] = [memory.get(name), memory.get(`${name}, in-process`)];
        return [name, own && engine && own / engine];
      }),
    ),
  ];
  const rows = all.map(({ name, goal, found, verdict }) => [name, goal, found, verdict]);
  return { columns: ["promise", "goal", "found", "verdict"], rows, words: 4 };
}

/**
 * Where time and memory go, of our server beside the engine in-process.
 *
 * @param ready Bytes that each held when it was ready.
 * @param memory Bytes that each held at most.
 */
export function causes(
  measured: readonly Measured[],
  ready: ReadonlyMap<string, number>,
  memory: ReadonlyMap<string, number>,
): Table {
  const names = OURS.flatMap((name) => [name, `${name}, in-process`]).filter((name) => memory.has(name));
  const row = (what: string, digits: number, of: (name: string) => number | undefined): string[] => [
    what,
    ...names.map((name) => of(name)?.toFixed(digits) ?? ""),
  ];
  const inside = (cell: string, of: (sample: Sample) => number | undefined) => (name: string) => {
    const values = samples(measured, cell, name).flatMap((sample) => of(sample) ?? []);
    return values.length === 0 ? undefined : median(values);
  };
  const rows = [NAMES.wide, NAMES.query].flatMap((cell) => [
    row(`${cell}: JavaScript's thread, ms of processor time a text`, 2, inside(cell, ({ spent }) => spent?.script)),
    row(`${cell}: all other threads, ms of processor time a text`, 2, inside(cell, ({ spent }) => spent?.others)),
    row(`${cell}: sequences a pass`, 1, inside(cell, ({ filled }) => filled)),
  ]);
  const megabytes = (of: ReadonlyMap<string, number>) => (name: string) => of.get(name)! / 1e6;
  rows.push(row("memory when ready, MB", 0, megabytes(ready)), row("memory at most, MB", 0, megabytes(memory)));
  return { columns: ["", ...names], rows, words: 1 };
}

function samples(measured: readonly Measured[], cell: string, name: string): Sample[] {
  return measured.filter((one) => one.cell === cell && one.name === name).map(({ sample }) => sample);
}

function middle(measured: readonly Measured[], cell: string, name: string, what: Figure): number | undefined {
  const values = samples(measured, cell, name).flatMap((sample) => sample[what] ?? []);
  return values.length === 0 ? undefined : median(values);
}

/** First by second, round by round; the middle of these. */
function ratio(
  measured: readonly Measured[],
  first: readonly [cell: string, name: string],
  second: readonly [cell: string, name: string],
  what: Figure = "textsPerSecond",
): number | undefined {
  const of = ([cell, name]: readonly [string, string]) => samples(measured, cell, name).map((sample) => sample[what]);
  return ratioOf(of(first), of(second))?.median;
}
