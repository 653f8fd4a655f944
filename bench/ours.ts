// What users get, as a process that the driver talks to, on Deno or on Bun: `ours.ts JOB.json [MOD.ts]`. See
// bench/README.md for the protocol. MOD.ts is the entry of another checkout of this package, which is then measured
// instead. With the setting `stream`, a file of one text a line, "go" reads that through embedStream and drops the vectors.
import { createReadStream, readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import type { Llama, LlamaInfo } from "../mod.ts";
import { loadEngine } from "../src/engine/load.ts";
import type { LoadOptions, RerankOptions } from "../src/options.ts";
import { rankDocuments, type Ranked } from "../src/rerank.ts";
import type { Job } from "./peer.ts";

type Answer = Record<string, number | string | boolean | readonly number[]>;

const WARMING = 256; // texts

/** How a job's model is loaded. */
export function loadOptions({ maxTokens, pooling, template, settings = {} }: Partial<Job>): LoadOptions {
  const { contexts, threads, kernels } = settings as LoadOptions;
  return { contextSize: maxTokens, pooling, template, contexts, threads, kernels };
}

/** Processor seconds since a usage was taken. */
export function cpuSince(before: ReturnType<typeof process.cpuUsage>): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

/** Answers lines of stdin until it ends. */
export async function answer(act: (line: string) => Promise<Answer>): Promise<void> {
  for await (const line of createInterface({ input: process.stdin })) {
    say(await act(line).catch((error) => ({ error: String(error) })));
  }
}

/** Writes a line of output. */
export function say(answer: Answer): void {
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

async function timed(work: () => Promise<unknown>): Promise<Answer> {
  const [start, cpu] = [performance.now(), process.cpuUsage()];
  await work();
  return { seconds: (performance.now() - start) / 1000, cpu: cpuSince(cpu) };
}

/** What of a `Llama` is measured. */
interface Model extends AsyncDisposable, Pick<Llama, "embed" | "embedStream"> {
  readonly info: LlamaInfo;
  rerank(query: string, documents: readonly string[], options: RerankOptions<string>): Promise<Ranked<string>[]>;
}

/** A model as users have it or, with the setting `shares: false`, one that computes no prefix once for many pairs. */
async function modelOf(job: Job, entry: string): Promise<Model> {
  if (job.settings?.["shares"] !== false) {
    const { Llama } = await import(entry) as typeof import("../mod.ts");
    return await Llama.load(job.model, loadOptions(job));
  }
  const engine = Object.assign(await loadEngine(job.model, loadOptions(job)), { shares: false });
  const only = (): never => {
    throw new Error("Cannot embed with shares: false");
  };
  return {
    ...{ info: engine.info, embed: only, embedStream: only },
    rerank: (query, documents, options) => rankDocuments(engine, query, documents, options),
    [Symbol.asyncDispose]: () => engine.pool.close(),
  };
}

/** One call over some texts: rows of vectors, or scores in the order of the texts. */
async function callOf(llama: Model, job: Job, texts: readonly string[]): Promise<readonly Float32Array[]> {
  if (job.kind === "embed") return await llama.embed(texts);
  const { query = "", instruction } = job;
  const ranked = await llama.rerank(query, texts, { instruction });
  return ranked.toSorted((a, b) => a.index - b.index).map(({ logit }) => Float32Array.of(logit));
}

async function stream(llama: Model, path: string): Promise<void> {
  const lines = createInterface({ input: createReadStream(path, { encoding: "utf8" }) });
  let count = 0;
  for await (const vector of llama.embedStream(lines)) count += vector.length;
  if (count === 0) throw new Error(`${path} has no texts`);
}

async function main(path: string, entry?: string): Promise<void> {
  const job: Job = JSON.parse(readFileSync(path, "utf8"));
  const { texts, settings = {} } = job;
  const start = performance.now();
  await using llama = await modelOf(job, entry === undefined ? "../mod.ts" : pathToFileURL(entry).href);
  const load = (performance.now() - start) / 1000;
  if (settings["stream"] === undefined) await callOf(llama, job, texts.slice(0, WARMING));
  const { maxTokens: limit, contexts, threads } = llama.info;
  say({ load, limit, contexts, threads, versions: `${runtime()}, ${llama.info.kernels.join(" ") || "no kernels"}` });
  await answer(async (line) => {
    const [command, rest = ""] = [line.split(" ")[0], line.slice(line.indexOf(" ") + 1)];
    switch (command) {
      case "go":
        return await timed(() =>
          settings["stream"] === undefined ? callOf(llama, job, texts) : stream(llama, String(settings["stream"]))
        );
      case "one": {
        const seconds: number[] = [];
        for (let i = 0; i < Number(rest); i++) {
          const from = performance.now();
          await llama.embed(texts[i % texts.length]!);
          seconds.push((performance.now() - from) / 1000);
        }
        return { seconds };
      }
      case "vectors": {
        const rows = await callOf(llama, job, texts);
        const all = new Float32Array(rows.length * rows[0]!.length);
        rows.forEach((row, i) => all.set(row, i * row.length));
        writeFileSync(rest, new Uint8Array(all.buffer));
        return { bytes: all.byteLength };
      }
      default:
        return { error: `stdin has ${JSON.stringify(line)}: write go, one N, or vectors PATH` };
    }
  });
}

function runtime(): string {
  const { bun, deno } = process.versions as Record<string, string>;
  return bun ? `Bun ${bun}` : `Deno ${deno}`;
}

if (import.meta.main) await main(process.argv[2]!, process.argv[3]);
