// Many clients for long: disconnects, over-long and oversize bodies, bursts over the queue limit, models that are unloaded.
// Twenty seconds in the gate; twenty minutes in `deno task slow`, which also looks at the memory.
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import process from "node:process";
import { setTimeout as wait } from "node:timers/promises";
import { Llama } from "../../../mod.ts";
import { join } from "node:path";
import { ROOT } from "../../support/child.ts";
import { noModel, RUNTIME } from "../../support/program.ts";
import { randomIntegers } from "../../support/random.ts";
import { type Json, RERANKER, TestServer } from "../../support/server.ts";
import { slow } from "../../support/slow.ts";

const skip = noModel || process.platform === "win32" && "Windows has no SIGUSR2";
const EMBEDDER = join(ROOT, "tests", "fixtures", "families", "bert_mean.gguf");
const SECONDS = slow ? 20 * 60 : 20;
const CLIENTS = 64;
/** Seconds of work, and then of a pause in which both models are unloaded. */
const [WORK, PAUSE] = slow ? [17, 3.5] : [4, 1];
const KEEP = slow ? "2s" : "500ms";
const KNOWN = 200;

interface Soaked {
  readonly server: TestServer;
  readonly vectors: readonly Float32Array[];
  readonly scores: readonly number[];
  readonly counts: Map<string, number>;
  /** Resolves when the pause is over. */
  pause: Promise<void> | undefined;
  over: boolean;
}

const textOf = (i: number): string => `text number ${i} ${"of some words ".repeat(i % 5)}`;
const DOCUMENTS = ["one", "two words", "three whole words"];

function count(soaked: Soaked, what: string): void {
  soaked.counts.set(what, (soaked.counts.get(what) ?? 0) + 1);
}

/** One client: asks until the time is over. */
async function client(soaked: Soaked, seed: number): Promise<void> {
  const draw = randomIntegers(seed);
  const random = (): number => draw(0, 999_999) / 1e6;
  while (!soaked.over) {
    await soaked.pause;
    const kind = random();
    if (kind < 0.5) await embedOne(soaked, Math.floor(random() * KNOWN), random() < 0.5);
    else if (kind < 0.7) await rerankSome(soaked);
    else if (kind < 0.8) await goAway(soaked, random() * 30);
    else if (kind < 0.85) {
      await expect(soaked, "/v1/embeddings", { input: "word ".repeat(500), truncate: false }, [400, 429]);
    } else if (kind < 0.88) await expect(soaked, "/v1/embeddings", { input: "a".repeat(250_000) }, [413]);
    else if (kind < 0.93) await burst(soaked, random);
    else await expect(soaked, "/api/embed", { input: ["a", "b", textOf(1)] }, [200, 429]);
  }
}

async function expect(
  soaked: Soaked,
  path: string,
  body: unknown,
  statuses: readonly number[],
): Promise<Json | undefined> {
  const { status, body: answer } = await soaked.server.ask(path, body);
  assert(statuses.includes(status), `${path} is ${status}: ${JSON.stringify(answer).slice(0, 300)}`);
  count(soaked, String(status));
  return status === 200 ? answer : undefined;
}

async function embedOne(soaked: Soaked, i: number, alone: boolean): Promise<void> {
  const list = alone ? [i] : [i, (i + 7) % KNOWN, (i + 90) % KNOWN];
  const answer = await expect(soaked, "/v1/embeddings", { input: list.map(textOf) }, [200, 429]);
  if (answer === undefined) return;
  assertEquals(answer.data.length, list.length);
  for (const [at, { embedding }] of answer.data.entries()) {
    const wanted = soaked.vectors[list[at]!]!;
    let largest = 0;
    for (let j = 0; j < wanted.length; j++) largest = Math.max(largest, Math.abs(wanted[j]! - embedding[j]));
    assert(largest <= 1e-6, `a vector is off by ${largest}`);
  }
}

async function rerankSome(soaked: Soaked): Promise<void> {
  const answer = await expect(soaked, "/v1/rerank", { query: "what", documents: DOCUMENTS }, [200, 429]);
  if (answer === undefined) return;
  for (const { index, relevance_score } of answer.results) {
    assert(Math.abs(relevance_score - soaked.scores[index]!) < 1e-5, `a score is off`);
  }
}

async function goAway(soaked: Soaked, milliseconds: number): Promise<void> {
  const gone = new AbortController();
  const timer = setTimeout(() => gone.abort(), milliseconds);
  const input = Array.from({ length: 40 }, (_, i) => textOf(i));
  await soaked.server.ask("/v1/embeddings", { input }, { signal: gone.signal }).catch((error) => {
    if (!gone.signal.aborted) throw error;
  });
  clearTimeout(timer);
  count(soaked, "gone");
}

async function burst(soaked: Soaked, random: () => number): Promise<void> {
  const input = Array.from({ length: 200 }, () => textOf(Math.floor(random() * KNOWN)));
  const body = { input, encoding_format: "base64" };
  await Promise.all([1, 2, 3].map(() => expect(soaked, "/v1/embeddings", body, [200, 429])));
}

/** The resident memory after a collection. */
async function collected(server: TestServer): Promise<number> {
  const seen = server.log.length;
  process.kill(server.pid, "SIGUSR2");
  while (true) {
    const [, rss] = /^collected rss=(\d+)$/m.exec(server.log.slice(seen)) ?? [];
    if (rss !== undefined) return Number(rss);
    await wait(50);
  }
}

test(
  `${CLIENTS} clients for ${SECONDS} seconds: right answers, no 5xx, unloads, and the end is 0`,
  { skip },
  async () => {
    await using llama = await Llama.load(EMBEDDER, { onLog: () => {} });
    await using ranker = await Llama.load(RERANKER, { onLog: () => {} });
    const ranked = await ranker.rerank("what", DOCUMENTS);
    const scores = DOCUMENTS.map((_, i) => ranked.find(({ index }) => index === i)!.score);
    const program = join(ROOT, "tests", "support", "soak_server.ts");
    const server = await TestServer.by(
      RUNTIME === "deno" ? ["deno", "run", "-A", "--v8-flags=--expose-gc", program] : ["bun", program],
      [`--embed=${EMBEDDER}=tiny`, `--rerank=${RERANKER}=ranker`, "--keep-alive", KEEP, "--max-body", "200kB"].concat(
        ["--max-queue-tokens", "20000", "--log", "json"],
      ),
    );
    await using _ = server;
    const vectors = await llama.embed(Array.from({ length: KNOWN }, (_, i) => textOf(i)));
    const soaked: Soaked = { server, vectors, scores, counts: new Map(), pause: undefined, over: false };
    const end = performance.now() + SECONDS * 1000;
    const clients = Promise.all(Array.from({ length: CLIENTS }, (_, i) => client(soaked, i + 1)));
    clients.catch(() => soaked.over = true);
    const memory: number[] = [];
    while (performance.now() < end && !soaked.over) {
      await wait(Math.min(WORK * 1000, Math.max(0, end - performance.now())));
      const { promise, resolve } = Promise.withResolvers<void>();
      soaked.pause = promise;
      await wait(PAUSE * 1000);
      memory.push(await collected(server));
      resolve();
      soaked.pause = undefined;
    }
    soaked.over = true;
    await clients;
    const unloads = await server.metric("llamasaur_unloads_total");
    const requests = await server.metric("te_request_count");
    const computed = await server.metric("llamasaur_cancelled_total");
    assertEquals(await server.end(), 0);
    const statuses = [...server.log.matchAll(/"status":(5\d\d)/g)].map(([, status]) => status);
    assertEquals(statuses, []);
    const told = `${requests} requests, ${unloads} unloads, ${computed} cancelled, ${
      JSON.stringify([...soaked.counts])
    }`;
    console.log(`${RUNTIME}: ${told}, MB ${memory.map((one) => Math.round(one / 1e6)).join(" ")}`);
    for (const what of ["200", "400", "413", "429", "gone"]) {
      assert(
        (soaked.counts.get(what) ?? 0) > 0,
        `${what}: ${told}`,
      );
    }
    assert(unloads >= (slow ? 50 : 2) && computed > 0, told);
    if (!slow) return;
    assert(requests >= 100_000, told);
    const quarter = (n: number): number => {
      const part = memory.slice(Math.floor(memory.length * (n - 1) / 4), Math.floor(memory.length * n / 4));
      return part.sort((a, b) => a - b)[Math.floor(part.length / 2)]!;
    };
    assert(quarter(4) <= 1.05 * quarter(2), `${quarter(2)} and then ${quarter(4)} bytes`);
  },
);
