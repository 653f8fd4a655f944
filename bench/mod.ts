// Us, libllama in C++ alone, and every peer, on every workload: `deno task bench [options]`
//   --full               the full size; default: the smoke size, minutes
//   --workloads LIST     of titles, paragraphs, passages, query, many, causal, rerank, yes-no, stream, start, two, mixed
//   --contenders LIST    of Deno, Bun, ceiling, before and the peers' names, as far as they are unambiguous
//   --against DIR        another checkout or installed version of this package, with a library of its own: the contenders
//                        "before, Deno" and "before, Bun", in the settings of Deno and Bun, and how fast we are against them
//   --rounds N           turns of each contender at most (default: 5; full: 9)
//   --budget SECONDS     that a contender's turns in one workload may take together (default: 6; full: 12)
//   --class AVX2         as on a processor with AVX2 alone: wider instructions are hidden from each program, and what is
//                        compiled here is compiled without them (Linux on x64 with CPUID faulting; bench/hidden.ts)
//   --write              keeps the paragraphs and an overview of the others in bench/results, in files of this processor's
//                        class, for `deno task docs`
//   --out DIR            for results.json, results.md and chart.svg (default: bench-results/DATE)
// Each contender is a process of its own, in its own best setting, which is searched for first; all stay warm and take
// turns. What one cannot do, or cannot be had, is a line of the table. bench/README.md has the contenders' protocol.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { type Bench, say } from "./bench.ts";
import { CEILING } from "./ceiling_peer.ts";
import { drawChart } from "./chart.ts";
import { type Hidden, hideProcessor, machineSeen } from "./hidden.ts";
import { commitOf, describeMachine, knownClassOf } from "./machine.ts";
import { ROOT } from "./models.ts";
import { before, OURS } from "./ours_peer.ts";
import { type Peer, type WorkloadName, WORKLOADS } from "./peer.ts";
import { PEERS } from "./peers/mod.ts";
import type { Results, WorkloadResult } from "./results.ts";
import { measure } from "./rounds.ts";
import { keepByClass, noted } from "./noted.ts";
import { measureStart } from "./start.ts";
import { measureStream } from "./stream.ts";
import { markdown, overview, speedFigures, verdicts, workloadSection } from "./tables.ts";
import { withCount } from "./texts.ts";
import { measureMixed, measureTwo } from "./together.ts";
import { TURNS } from "./workloads.ts";

// Whose results others are compared with, asked for or not.
const CHEAP_TRUTHS: readonly string[] = ["ceiling", "Deno"];

interface Options {
  readonly workloads: readonly WorkloadName[];
  readonly contenders: readonly string[];
  readonly out: string;
  readonly write: boolean;
  readonly against: string | undefined;
  /** The class of processors that this machine is measured as, if it is another one than its own. */
  readonly class: string | undefined;
}

async function main(): Promise<void> {
  const { bench, options } = parseOptions();
  const hidden = options.class === undefined ? undefined : await hideProcessor(options.class);
  const machine = hidden ? machineSeen(describeMachine()) : describeMachine();
  const date = new Date().toISOString().slice(0, 19);
  const out = options.out || join(ROOT, "bench-results", date.replaceAll(":", "-"));
  mkdirSync(out, { recursive: true });
  const workloads: WorkloadResult[] = [];
  const all = [CEILING, ...OURS, ...(options.against === undefined ? [] : before(options.against)), ...PEERS];
  const chosen = all.filter(({ name }) =>
    options.contenders.length === 0 || options.contenders.some((word) => fits(name, word))
  );
  const reasons = await prepared(all, chosen, bench.portable);
  Object.assign(process.env, hidden?.environment); // what was compiled needed no hiding
  if (options.against !== undefined) say(`before is ${commitOf(options.against)} in ${options.against}`);
  const results: Results = { date, commit: commitOf(ROOT), size: bench.size, machine, workloads };
  try {
    for (const name of options.workloads) {
      say(`${name}, ${new Date().toISOString().slice(11, 19)}`);
      try {
        const result = await run(bench, name, all, chosen, reasons);
        workloads.push(result);
        console.log(`${workloadSection(result)}\n`);
      } catch (error) {
        say(`  ${name} failed: ${(error as Error).stack}`);
        process.exitCode = 1;
      }
      writeFileSync(join(out, "results.json"), `${JSON.stringify(results, undefined, 1)}\n`); // as far as it got
    }
  } finally {
    rmSync(bench.scratch, { recursive: true });
  }
  writeFileSync(join(out, "results.md"), markdown(results));
  console.log(markdown({ ...results, workloads: [] }, workloads));
  if (options.write) keepForPages(results, bench.rounds, hidden);
  try {
    drawChart(results, join(out, "chart.svg"));
  } catch (error) {
    say(`no chart: ${(error as Error).message}`);
  }
  say(`written: ${out}`);
}

/** Keeps what docs/speed.md shows. */
function keepForPages({ workloads, machine, size }: Results, rounds: number, hidden: Hidden | undefined): void {
  const method = `at most ${rounds} rounds in turns, ${size} size, medians, ratios of the same round`;
  const command = `deno task bench${size === "full" ? " --full" : ""}${
    hidden ? ` --class ${hidden.class}` : ""
  } --write`;
  const paragraphs = workloads.find(({ name }) => name === "paragraphs");
  if (paragraphs) keepByClass("paragraphs", machine, noted(command, machine, method, speedFigures(paragraphs)));
  const others = workloads.filter((one) => one !== paragraphs);
  const judged = verdicts(workloads, knownClassOf(machine));
  keepByClass("targets", machine, noted(command, machine, method, judged));
  if (others.length > 0) keepByClass("workloads", machine, noted(command, machine, method, overview(others)));
}

/** Installs what is missing, and tells why something cannot be had. */
async function prepared(
  all: readonly Peer[],
  chosen: readonly Peer[],
  portable: boolean,
): Promise<Map<string, string>> {
  const reasons = new Map<string, string>();
  for (const peer of all) {
    if (!chosen.includes(peer) && !CHEAP_TRUTHS.includes(peer.name)) {
      reasons.set(peer.name, "not asked for"); // some are gigabytes
      continue;
    }
    try {
      await peer.prepare(portable);
    } catch (error) {
      reasons.set(peer.name, (error as Error).message);
      say(`${peer.name} cannot be had: ${(error as Error).message}`);
    }
  }
  return reasons;
}

async function run(
  bench: Bench,
  name: WorkloadName,
  all: readonly Peer[],
  chosen: readonly Peer[],
  reasons: ReadonlyMap<string, string>,
): Promise<WorkloadResult> {
  const names = new Set(chosen.map((peer) => peer.name).filter((name) => !reasons.has(name)));
  switch (name) {
    case "start":
      return await measureStart(bench, names);
    case "stream":
      return await measureStream(bench, names);
    case "two":
      return await measureTwo(bench, names);
    case "mixed":
      return await measureMixed(bench, names);
  }
  const workload = TURNS.find((one) => one.name === name)!;
  const { content, tokens } = await withCount(async (count) => {
    const content = await workload.content(workload[bench.size], count);
    return { content, tokens: (await count(content.texts)).reduce((sum, n) => sum + n, 0) };
  });
  const able = chosen.filter(({ kinds }) => kinds.includes(content.kind));
  // the original where it can be had; where the weights are quantised for all, libllama's own result
  const sayers = workload.floor === undefined ? ["ceiling"] : ["sentence-transformers", "Deno"];
  const truths = sayers.flatMap((sayer) => all.filter((peer) => peer.name === sayer && !reasons.has(sayer)));
  return await measure(bench, workload, content, tokens, able, truths, reasons);
}

function fits(name: string, word: string): boolean {
  return name.toLowerCase().startsWith(word.toLowerCase());
}

function parseOptions(): { bench: Bench; options: Options } {
  const { values } = parseArgs({
    options: {
      smoke: { type: "boolean", default: false },
      full: { type: "boolean", default: false },
      workloads: { type: "string", default: WORKLOADS.join() },
      contenders: { type: "string", default: "" },
      rounds: { type: "string" },
      budget: { type: "string" },
      out: { type: "string", default: "" },
      write: { type: "boolean", default: false },
      against: { type: "string" },
      class: { type: "string" },
    },
  });
  if (values.smoke && values.full) throw new RangeError("--smoke and --full exclude each other");
  if (values.class !== undefined && values.against !== undefined) {
    throw new RangeError("--class and --against exclude each other: the other version's library is for this processor");
  }
  const workloads = listOf(values.workloads) as WorkloadName[];
  for (const name of workloads) {
    if (!WORKLOADS.includes(name)) throw new RangeError(`--workloads has "${name}": use some of ${WORKLOADS.join()}`);
  }
  const rounds = Number(values.rounds ?? (values.full ? 9 : 5));
  const budget = Number(values.budget ?? (values.full ? 12 : 6));
  if (!(Number.isSafeInteger(rounds) && rounds > 0)) throw new RangeError("--rounds must be 1 or more");
  if (!(budget > 0)) throw new RangeError("--budget must be more than 0 seconds");
  const scratch = mkdtempSync(join(tmpdir(), "llamasaur-bench-"));
  const size = values.full ? "full" : "smoke";
  const portable = values.class !== undefined;
  const bench: Bench = { size, cores: availableParallelism(), budget, rounds, portable, scratch };
  const { out, write, against, class: asClass } = values;
  return { bench, options: { workloads, contenders: listOf(values.contenders), out, write, against, class: asClass } };
}

function listOf(value: string): string[] {
  return value.split(",").filter((word) => word !== "");
}

if (import.meta.main) await main();
