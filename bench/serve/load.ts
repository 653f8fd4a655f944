/** Asks a server: by hey where all requests are alike, by clients of its own where they are not. */
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { benchCache, madeOnce } from "../models.ts";
import { must } from "../peers/install.ts";
import { run } from "../../build/run.ts";
import { type Sample, sampleOf } from "./sample.ts";

/** What is sent, again and again. */
export interface Load {
  readonly path: string;
  readonly body: object;
  readonly connections: number;
  /** Texts of a request. */
  readonly texts: number;
}

/** hey, which is on the PATH, or Debian's, unpacked in the cache. */
export async function heyProgram(): Promise<string> {
  if (spawnSync("hey", ["-h"]).error === undefined) return "hey";
  const folder = await madeOnce("hey", async (directory) => {
    await must(["apt-get", "download", "hey"], directory);
    const [archive = ""] = readdirSync(directory);
    await must(["dpkg-deb", "-x", archive, "."], directory);
    chmodSync(directory, 0o755);
  });
  const program = join(folder, "usr", "bin", "hey");
  if (existsSync(program)) return program;
  throw new Error(`Cannot find hey in ${benchCache()}: install it (apt-get install hey)`);
}

/**
 * Asks by hey for some seconds.
 *
 * @param file Where the body is kept.
 */
export async function heyed(hey: string, url: string, load: Load, seconds: number, file: string): Promise<Sample> {
  writeFileSync(file, JSON.stringify(load.body));
  const { code, output } = await run([
    ...[hey, "-z", `${seconds}s`, "-c", String(load.connections), "-m", "POST", "-T", "application/json", "-t", "60"],
    ...["-D", file, url + load.path],
  ]);
  if (code !== 0) throw new Error(`hey failed: ${output.slice(-500)}`);
  return readHey(output, load.texts);
}

/** Reads what hey prints. */
export function readHey(output: string, texts: number): Sample {
  const number = (pattern: RegExp): number => Number(pattern.exec(output)?.[1] ?? NaN);
  const slowest = number(/^\s*Slowest:\s+([\d.]+) secs/m); // of few requests hey does not print every part
  const percentile = (part: number): number => {
    const seconds = number(new RegExp(`^\\s*${part}%+ in ([\\d.]+) secs`, "m"));
    return (Number.isNaN(seconds) ? slowest : seconds) * 1000;
  };
  const answered = [...output.matchAll(/^\s*\[(\d{3})\]\s+(\d+) responses/gm)].map(([, status, count]) => ({
    good: status === "200",
    count: Number(count),
  }));
  const failed = /^Error distribution:\n([^]*)/m.exec(output)?.[1] ?? "";
  const lost = [...failed.matchAll(/^\s*\[(\d+)\]/gm)].reduce((sum, [, count]) => sum + Number(count), 0);
  const count = (good: boolean): number =>
    answered.filter((one) => one.good === good).reduce((sum, one) => sum + one.count, 0);
  return {
    textsPerSecond: count(true) * texts / number(/^\s*Total:\s+([\d.]+) secs/m),
    p50: percentile(50),
    p95: percentile(95),
    p99: percentile(99),
    errors: count(false) + lost,
  };
}

/** Asks by one client for some seconds; no body is a GET. */
export async function asked(url: string, path: string, seconds: number, body?: object): Promise<Sample> {
  const times: number[] = [];
  let errors = 0;
  const start = performance.now();
  while (performance.now() - start < seconds * 1000) {
    const from = performance.now();
    if (await request(url + path, body)) times.push(performance.now() - from);
    else errors++;
  }
  return sampleOf(times, times.length, performance.now() - start, errors);
}

/** The mix: one client that sends lists, and one that sends queries. The times are the queries'. */
export async function mixed(url: string, list: object, texts: number, query: object, seconds: number): Promise<Sample> {
  const path = "/v1/embeddings";
  let [over, listed, errors] = [false, 0, 0];
  const bulk = (async () => {
    while (!over) {
      if (await request(url + path, list)) listed += over ? 0 : texts;
      else errors++;
    }
  })();
  const start = performance.now();
  const queries = await asked(url, path, seconds, query);
  const milliseconds = performance.now() - start;
  over = true;
  await bulk;
  return {
    ...queries,
    textsPerSecond: queries.textsPerSecond + listed / milliseconds * 1000,
    errors: queries.errors + errors,
  };
}

async function request(url: string, body: object | undefined): Promise<boolean> {
  try {
    const response = await fetch(url, {
      ...(body && {
        method: "POST",
        body: JSON.stringify(body),
        headers: { "content-type": "application/json" },
      }),
      signal: AbortSignal.timeout(60_000),
    });
    await response.arrayBuffer();
    return response.status === 200;
  } catch {
    return false;
  }
}
