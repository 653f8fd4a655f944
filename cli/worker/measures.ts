/** Counts what a worker does, and serves the numbers with its health. */
import type { Counter, Gauge, Registry } from "prom-client";
import type { Llama } from "@llamasaur/llamasaur";
import { listen, originOf } from "../serve/listen.ts";
import type { Session } from "../session.ts";
import type { Patience } from "./patience.ts";
import type { WorkerOptions } from "./settings.ts";
import type { Outcome } from "./write.ts";

/** The numbers of a worker. */
export class Measures {
  /** Rows that have their vectors. */
  texts = 0;
  /** Rows that failed. */
  failures = 0;
  jobs = 0;
  readonly #models: readonly Llama[];
  readonly #patience: Patience;
  #tokens = 0;
  #truncated = 0;
  #seconds = 0;
  readonly #byCode = new Map<string, number>();
  readonly #byEnding = new Map<string, number>();

  constructor(models: readonly Llama[], patience: Patience) {
    [this.#models, this.#patience] = [models, patience];
  }

  /** Counts the time of a call. */
  computed(seconds: number): void {
    this.#seconds += seconds;
  }

  /** Counts a job that ended. */
  ended({ rows, failures, ending }: Outcome): void {
    this.texts += rows.length;
    this.failures += failures.length;
    this.jobs++;
    for (const { tokens, truncated } of rows.flatMap((row) => row.chunks)) {
      this.#tokens += tokens;
      if (truncated) this.#truncated++;
    }
    for (const { code } of failures) this.#byCode.set(code, 1 + (this.#byCode.get(code) ?? 0));
    this.#byEnding.set(ending, 1 + (this.#byEnding.get(ending) ?? 0));
  }

  /** Whether the database can be reached. */
  get isReady(): boolean {
    return !this.#patience.away;
  }

  /** What Prometheus reads. The client is loaded here: a worker without a port is 3 to 5 MB smaller. */
  async registry(): Promise<Registry> {
    const client = await import("prom-client");
    const registry = new client.Registry();
    const one = (value: number): (readonly [labels: Record<string, string>, value: number])[] => [[{}, value]];
    const by = (label: string, counts: ReadonlyMap<string, number>) =>
      [...counts].map(([word, value]) => [{ [label]: word }, value] as const);
    for (
      const [name, help, read, ...labelNames] of [
        ["texts", "Rows that got their vectors", () => one(this.texts)],
        ["tokens", "Tokens that were computed", () => one(this.#tokens)],
        ["truncated", "Texts that were cut", () => one(this.#truncated)],
        ["failures", "Rows that failed, by why", () => by("code", this.#byCode), "code"],
        ["jobs", "Jobs that ended here, by how", () => by("ending", this.#byEnding), "ending"],
        ["compute_seconds", "Seconds that the model took", () => one(this.#seconds)],
      ] as const
    ) {
      const collect = function (this: Counter<string>): void {
        this.reset();
        for (const [labels, value] of read()) this.inc(labels, value);
      };
      registry.registerMetric(
        new client.Counter({ name: `llamasaur_worker_${name}_total`, help, labelNames, registers: [], collect }),
      );
    }
    for (
      const [name, help, read] of [
        ["database_away", "1 while the database cannot be reached", () => this.isReady ? 0 : 1],
        ["memory_bytes", "Bytes of weights and contexts at most", () => this.#memory],
      ] as const
    ) {
      const collect = function (this: Gauge<string>): void {
        this.set(read());
      };
      registry.registerMetric(new client.Gauge({ name: `llamasaur_worker_${name}`, help, registers: [], collect }));
    }
    return registry;
  }

  get #memory(): number {
    return this.#models.reduce((sum, { info }) => sum + info.memory.weights + info.memory.contexts, 0);
  }
}

/** Serves `/metrics`, `/healthz` and `/readyz`, where a port is given; not ready once the worker is to stop. */
export async function serveMeasures(
  { host = "127.0.0.1", port }: WorkerOptions,
  measures: Measures,
  session: Session,
): Promise<AsyncDisposable> {
  if (port === undefined) return { [Symbol.asyncDispose]: () => Promise.resolve() };
  const registry = await measures.registry();
  const listener = await listen(host, port, async (request) => {
    const { pathname } = new URL(request.url, "http://localhost"); // HTTP/1.0 needs no Host
    if (pathname === "/metrics") {
      return new Response(await registry.metrics(), { headers: { "content-type": registry.contentType } });
    }
    if (pathname === "/healthz") return Response.json({ status: "ok" });
    const ready = measures.isReady && !session.signal.aborted;
    if (pathname === "/readyz") {
      return Response.json({ status: ready ? "ready" : "not ready" }, { status: ready ? 200 : 503 });
    }
    return new Response(null, { status: 404 });
  });
  session.say(`metrics at ${originOf(host, listener.port)}/metrics`);
  return {
    [Symbol.asyncDispose]: async () => {
      listener.abort();
      await listener.stop();
    },
  };
}
