// Everything that must not break a process, tried for real: `deno task torture [flags] [CASE...]`
//   --ci            a short cut, as the gate runs it
//   --minutes N     as many runs of each case as fit into N minutes, then other seeds until they are over
//   --seed N        the first seed; default: drawn from the clock, but for --ci, since a gate must answer the same twice
//   --on PLATFORM   deno, bun or native only
//   --report FILE   writes the table there too
//   CASE            runs only the cases whose names begin so
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { randomIntegers } from "../support/random.ts";
import type { Case, Context, Platform, Scale } from "./case.ts";
import * as cancel from "./cancel.ts";
import * as company from "./company.ts";
import * as exactness from "./exactness.ts";
import * as files from "./files.ts";
import * as input from "./input.ts";
import * as leave from "./leave.ts";
import * as lifecycle from "./lifecycle.ts";
import * as memory from "./memory.ts";
import * as scarcity from "./scarcity.ts";
import * as scheduler from "./scheduler.ts";
import * as servers from "./servers.ts";
import * as streams from "./streams.ts";
import { countsOf, faults, type Row, table } from "./table.ts";
import { summary } from "../../scripts/junit.ts";
import * as tokenizers from "./tokenizers.ts";

const SUITES: readonly { readonly cases: readonly Case[] }[] = [
  cancel,
  company,
  exactness,
  files,
  input,
  leave,
  lifecycle,
  memory,
  scarcity,
  scheduler,
  servers,
  streams,
  tokenizers,
];

const BOTH: readonly Platform[] = ["deno", "bun"];

interface Round {
  readonly case: Case;
  readonly platform: Platform;
}

/** Runs a case once on one platform. */
async function once(round: Round, scale: Scale, planned: number, seed: number): Promise<Row> {
  const { name, skip } = round.case;
  const start = new Date();
  const row = { name, platform: round.platform, planned, seeds: [seed], start };
  if (skip) return { ...row, skip, ran: 0, failures: [], seconds: 0 };
  const directory = mkdtempSync(join(tmpdir(), "llamasaur torture "));
  const context: Context = { platform: round.platform, scale, planned, seed, draw: randomIntegers(seed), directory };
  const failures: string[] = [];
  let ran = 0;
  try {
    for await (const failure of round.case.run(context)) {
      ran++;
      if (failure !== undefined) failures.push(failure);
    }
  } catch (error) {
    failures.push(error instanceof Error ? error.stack ?? error.message : String(error));
  } finally {
    rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }); // a killed child may still write
  }
  for (const failure of failures.slice(0, 5)) {
    console.log(`FAILED ${name} on ${round.platform}, seed ${seed}: ${failure}`);
  }
  return { ...row, ran, failures, seconds: (Date.now() - start.getTime()) / 1000 };
}

function added(a: Row, b: Row): Row {
  return {
    ...a,
    planned: a.planned + b.planned,
    ran: a.ran + b.ran,
    failures: [...a.failures, ...b.failures],
    seeds: [...a.seeds, ...b.seeds],
    seconds: a.seconds + b.seconds,
  };
}

// What every case in full takes on two cores.
const FULL_MINUTES = 80;

/** How many runs of a case are planned; a share of the whole time has every case, each with its share of runs. */
function plannedOf({ planned: { ci, full } }: Case, scale: Scale, minutes: number): number {
  if (scale === "ci") return ci;
  if (minutes === 0 || minutes >= FULL_MINUTES) return full;
  return Math.min(full, Math.max(ci, 1, Math.round(full * minutes / FULL_MINUTES)));
}

// The gate draws the same every time, or a commit would be green or red by the clock. Other seeds are what the whole run is for.
const CI_SEED = 20261130;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      ci: { type: "boolean", default: false },
      minutes: { type: "string", default: "0" },
      seed: { type: "string" },
      on: { type: "string" },
      report: { type: "string" },
    },
  });
  const scale = values.ci ? "ci" : "full";
  const minutes = Number(values.minutes);
  const end = Date.now() + minutes * 60_000;
  const rounds = SUITES.flatMap(({ cases }) => cases)
    .filter(({ name, planned }) =>
      planned[scale] > 0 && (positionals.length === 0 || positionals.some((beginning) => name.startsWith(beginning)))
    )
    .flatMap((one) => (one.platforms ?? BOTH).map((platform): Round => ({ case: one, platform })))
    .filter(({ platform }) => values.on === undefined || platform === values.on);
  if (rounds.length === 0) throw new RangeError(`Cannot run "${positionals.join(" ")}": no case begins so`);
  let seed = Number(values.seed ?? (values.ci ? CI_SEED : Date.now() % 1_000_000));
  const rows: Row[] = [];
  for (const round of rounds) {
    const row = await once(round, scale, plannedOf(round.case, scale, minutes), seed++);
    rows.push(row);
    if (values.report) writeFileSync(values.report, `${table(rows)}\n`); // also of a run that is ended
    console.log(
      `${faults(row) > 0 ? "FAILED" : "ok    "} ${
        row.seconds.toFixed(1).padStart(7)
      } s  ${row.name} on ${row.platform}`,
    );
  }
  const again = rounds.flatMap((round, i) => round.case.repeats && !round.case.skip ? [{ round, i }] : []);
  while (again.length > 0 && Date.now() < end) {
    for (const { round, i } of again) {
      if (Date.now() >= end) break;
      rows[i] = added(rows[i]!, await once(round, scale, plannedOf(round.case, scale, minutes), seed++));
    }
  }
  const text = table(rows);
  console.log(text);
  const failed = rows.reduce((sum, row) => sum + faults(row), 0);
  console.log(`${rows.reduce((sum, { ran }) => sum + ran, 0)} runs, ${failed} failures`);
  if (values.report) writeFileSync(values.report, `${text}\n`);
  console.log(summary(countsOf(rows)));
  return failed > 0 ? 1 : 0;
}

process.exitCode = await main();
