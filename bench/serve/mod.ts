// What a request costs beside the engine in-process and llama-server: `deno task bench:serve [options]`
//   --seconds N         of a cell (default: 3)
//   --rounds N          each takes every contender once, in turn (default: 3)
//   --contenders LIST   of Deno, Bun and llama-server (default: all that can be had)
//   --cells LIST        names of cells, or the beginnings of names (default: all)
//   --smoke             one second a cell, one round, one setting of llama-server
//   --write             keeps the figures in bench/results/serve.json, serve-targets.json and serve-causes.json, for `deno task docs`
// Servers and load are on the same machine and share its cores. hey (Debian's) asks where all requests are alike, a client of
// our own in the mix and for single queries. Ratios are of the same round. Prints tables of Markdown.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { describeMachine } from "../machine.ts";
import { modelFor } from "../models.ts";
import { keep, noted } from "../noted.ts";
import { RUNTIMES } from "../ours_peer.ts";
import { buildServer } from "../peers/llama_server_build.ts";
import { machineLine, table } from "../report.ts";
import { documents, mixedParagraphs, withCount } from "../texts.ts";
import { type Cell, CELLS } from "./cells.ts";
import { Engine, Server, type Setting } from "./contenders.ts";
import { asked, heyed, heyProgram, mixed } from "./load.ts";
import type { Job, Sample } from "./sample.ts";
import { causes, figures, type Measured, verdicts } from "./tables.ts";

const QUERY = "How do I run a quantised model on the CPU?";
const TEXTS = 256; // of the largest request or call
const SEARCH = 2; // seconds of each setting
const PARAGRAPHS = 200; // among which the middle one is looked for
const SETTINGS: readonly (readonly [slots: number, ubatch: number])[] = [[8, 512], [16, 512], [32, 1024], [64, 2048]];
const TYPES = ["bf16", "q8_0"];
const WIDEST = CELLS.find(({ connections }) => connections === 64)!;

const { values } = parseArgs({
  options: {
    seconds: { type: "string" },
    rounds: { type: "string" },
    contenders: { type: "string", default: "Deno,Bun,llama-server" },
    cells: { type: "string" },
    smoke: { type: "boolean", default: false },
    write: { type: "boolean", default: false },
  },
});
const seconds = Number(values.seconds ?? (values.smoke ? 1 : 3));
const rounds = Number(values.rounds ?? (values.smoke ? 1 : 3));
const names = values.contenders.split(",");
const cells = CELLS.filter(({ name }) => values.cells?.split(",").some((begin) => name.startsWith(begin)) ?? true);
const say = (line: string): void => console.error(line);

const scratch = mkdtempSync(join(tmpdir(), "llamasaur-serve-bench-"));
const bodyPath = join(scratch, "body.json");
const jobPath = join(scratch, "job.json");
const hey = await heyProgram();

/** One paragraph of middling length with its words in every order that turning them gives: equal texts would be computed once. */
async function jobOf(): Promise<{ job: Job; tokens: number }> {
  return await withCount(async (tokens) => {
    const some = await mixedParagraphs(PARAGRAPHS, tokens);
    const counts = await tokens(some);
    const order = some.map((_, i) => i).sort((a, b) => counts[a]! - counts[b]!);
    const middle = order[order.length >> 1]!;
    const words = some[middle]!.split(" ");
    const texts = Array.from({ length: TEXTS }, (_, i) => {
      const [at, round] = [i % words.length, Math.floor(i / words.length)];
      const turned = [...words.slice(at), ...words.slice(0, at)];
      for (let k = 0; k < round; k++) turned.splice(2 * k, 2, turned[2 * k + 1]!, turned[2 * k]!);
      return turned.join(" ");
    });
    return { job: { texts, query: QUERY, documents: await documents(50) }, tokens: counts[middle]! };
  });
}

const { job, tokens } = await jobOf();
writeFileSync(jobPath, JSON.stringify(job));

/** Asks a server as a cell says. */
async function ask(server: Server, cell: Cell, seconds: number): Promise<Sample> {
  const { url } = server;
  if (cell.kind === "query") return await asked(url, "/v1/embeddings", seconds, { input: QUERY, model: "m" });
  if (cell.kind === "health") return await asked(url, "/healthz", seconds);
  if (cell.kind === "mix") {
    const list = { input: job.texts, model: "m", encoding_format: "base64" };
    return await mixed(url, list, TEXTS, { input: QUERY, model: "m" }, seconds);
  }
  const { connections, texts } = cell;
  return await heyed(hey, url, { path: cell.path, body: cell.body(job), connections, texts }, seconds, bodyPath);
}

/** A contender: how it does a cell, and what it held when it was ready and at most. */
interface Contender {
  readonly name: string;
  readonly setting: string;
  run(cell: Cell): Promise<Sample | undefined>;
  readonly ready: number;
  readonly memory: () => number;
}

/** Asks, and tells what each text took of the processor. */
async function metered(process: Server | Engine, ask: () => Promise<Sample>): Promise<Sample> {
  const [before, start] = [process.spent, performance.now()];
  const sample = await ask();
  const [after, texts] = [process.spent, sample.textsPerSecond * (performance.now() - start) / 1000];
  const spent = { script: (after.script - before.script) / texts, others: (after.others - before.others) / texts };
  return { ...sample, spent };
}

function serverContender(name: string, setting: string, embedder: Server, ranker: Server): Contender {
  const run = async (cell: Cell): Promise<Sample | undefined> => {
    const server = cell.kind === "rerank" ? ranker : embedder;
    if (name === "llama-server") return cell.kind === "health" ? undefined : await ask(server, cell, seconds);
    const before = await server.passes();
    const sample = await metered(server, () => ask(server, cell, seconds));
    const { passes, sequences } = await server.passes();
    return { ...sample, filled: (sequences - before.sequences) / (passes - before.passes) };
  };
  return { name, setting, run, ready: embedder.memory, memory: () => embedder.memory };
}

function engineContender(name: string, setting: string, embedder: Engine, ranker: Engine): Contender {
  const run = async ({ kind, line }: Cell): Promise<Sample | undefined> => {
    const [what, ...rest] = line?.split(" ") ?? [];
    if (what === undefined) return undefined;
    const engine = kind === "rerank" ? ranker : embedder;
    return await metered(engine, () => engine.do([what, seconds, ...rest].join(" ")));
  };
  return { name, setting, run, ready: embedder.memory, memory: () => embedder.memory };
}

/** The type of weights that the engine is fastest with. */
async function bestType(command: readonly string[]): Promise<string> {
  let best = { type: "", speed: 0 };
  for (const type of TYPES) {
    await using engine = await Engine.start(command, await modelFor(type, "paragraphs"), jobPath);
    const { textsPerSecond } = await engine.do("embed 1 64");
    say(`  ours, ${type}: ${textsPerSecond.toFixed(0)} texts/s`);
    if (textsPerSecond > best.speed) best = { type, speed: textsPerSecond };
  }
  return best.type;
}

/** The setting that llama-server makes most texts a second with, asked by 64 connections. */
async function bestSetting(program: string): Promise<Setting> {
  let best: { setting: Setting; speed: number } | undefined;
  for (const type of TYPES) {
    for (const [slots, ubatch] of values.smoke ? SETTINGS.slice(0, 1) : SETTINGS) {
      const setting = { type, slots, ubatch };
      await using server = await Server.theirs(program, "embed", await modelFor(type, "paragraphs"), setting);
      const { textsPerSecond } = await ask(server, WIDEST, values.smoke ? 1 : SEARCH);
      say(`  llama-server, ${type}, -np ${slots} -ub ${ubatch}: ${textsPerSecond.toFixed(0)} texts/s`);
      if (best === undefined || textsPerSecond > best.speed) best = { setting, speed: textsPerSecond };
    }
  }
  return best!.setting;
}

async function contenders(stack: AsyncDisposableStack): Promise<Contender[]> {
  const all: Contender[] = [];
  const ours = RUNTIMES.filter(({ name }) => names.includes(name));
  for (const { name, command } of ours) {
    const type = await bestType(command);
    const [model, ranker] = [await modelFor(type, "paragraphs"), await modelFor(type, "rerank")];
    const servers = [
      stack.use(await Server.ours(command, "embed", model)),
      stack.use(await Server.ours(command, "rerank", ranker)),
    ] as const;
    const engines = [
      stack.use(await Engine.start(command, model, jobPath)),
      stack.use(await Engine.start(command, ranker, jobPath)),
    ] as const;
    all.push(serverContender(name, type, ...servers), engineContender(`${name}, in-process`, type, ...engines));
  }
  if (names.includes("llama-server")) {
    const program = await buildServer();
    const setting = await bestSetting(program);
    const { type, slots, ubatch } = setting;
    const embedder = await Server.theirs(program, "embed", await modelFor(type, "paragraphs"), setting);
    const ranker = await Server.theirs(program, "rerank", await modelFor(type, "rerank"), setting);
    const told = `${type}, -np ${slots} -ub ${ubatch}`;
    all.push(serverContender("llama-server", told, stack.use(embedder), stack.use(ranker)));
  }
  return all;
}

const machine = describeMachine();
console.log(`${machineLine(machine)}, ${rounds} rounds, ${seconds} s a cell, medians\n`);
const measured: Measured[] = [];
try {
  await using stack = new AsyncDisposableStack();
  const all = await contenders(stack);
  for (let round = -1; round < rounds; round++) {
    for (const cell of cells) {
      if (round < 0 && cell !== WIDEST && cell.kind !== "rerank") continue; // the first round warms
      for (const { name, setting, run } of all) {
        const sample = await run(cell);
        if (round < 0 || sample === undefined) continue;
        measured.push({ cell: cell.name, name, setting, sample });
        say(
          `  ${round + 1}: ${cell.name}, ${name}: ${sample.textsPerSecond.toFixed(0)}/s, p99 ${
            sample.p99.toFixed(1)
          } ms`,
        );
      }
    }
  }
  const memory = new Map(all.map(({ name, memory }) => [name, memory()]));
  const rows = figures(measured, memory);
  const promises = verdicts(measured, memory, machine.instructions);
  const spent = causes(measured, new Map(all.map(({ name, ready }) => [name, ready])), memory);
  for (const one of [rows, promises, spent]) console.log(`${table(one.columns, one.rows, one.words)}\n`);
  if (values.write) {
    const command = `deno task bench:serve --seconds ${seconds} --rounds ${rounds} --write`;
    const others = machine.load >= machine.cores / 2 ? `; other work ran (load ${machine.load.toFixed(1)})` : "";
    const method =
      `all-MiniLM-L6-v2, a paragraph of ${tokens} tokens a text; rerank: a BERT cross-encoder of its size; ` +
      `medians of ${rounds} rounds of ${seconds} s a cell in turns, load on the same cores${others}`;
    keep("serve", noted(command, machine, method, rows));
    keep("serve-targets", noted(command, machine, method, promises));
    keep("serve-causes", noted(command, machine, method, spent));
  }
} finally {
  rmSync(scratch, { recursive: true });
}
