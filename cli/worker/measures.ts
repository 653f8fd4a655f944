/** Counts what a worker does, and serves the numbers with its health. */
import { Counter, Gauge, Registry } from "prom-client";
import type { Llama } from "@llamasaur/llamasaur";
import { listen, originOf } from "../serve/listen.ts";
import type { Session } from "../session.ts";
import type { Patience } from "./patience.ts";
import type { WorkerOptions } from "./settings.ts";
import type { Outcome } from "./write.ts";

/** The numbers of a worker. */
export class Measures {
  readonly #registry = new Registry();
  readonly #patience: Patience;
  readonly #counters = new Map<string, Counter<string>>();
  /** Rows that have their vectors. */
  texts = 0;
  /** Rows that failed. */
  failures = 0;
  jobs = 0;

  constructor(models: readonly Llama[], patience: Patience) {
    this.#patience = patience;
    for (
      const [name, help, ...labelNames] of [
        ["texts", "Rows that got their vectors"],
        ["tokens", "Tokens that were computed"],
        ["truncated", "Texts that were cut"],
        ["failures", "Rows that failed, by why", "code"],
        ["jobs", "Jobs that ended here, by how", "ending"],
        ["compute_seconds", "Seconds that the model took"],
      ] as const
    ) {
      const registers = [this.#registry];
      this.#counters.set(name, new Counter({ name: `llamasaur_worker_${name}_total`, help, labelNames, registers }));
    }
    const away = (): number => patience.away ? 1 : 0;
    this.#gauge("llamasaur_worker_database_away", "1 while the database cannot be reached", away);
    const memory = (): number => {
      return models.reduce((sum, { info }) => sum + info.memory.weights + info.memory.contexts, 0);
    };
    this.#gauge("llamasaur_worker_memory_bytes", "Bytes of weights and contexts at most", memory);
  }

  #gauge(name: string, help: string, value: () => number): void {
    this.#registry.registerMetric(
      new Gauge({
        name,
        help,
        registers: [],
        collect(this: Gauge<string>) {
          this.set(value());
        },
      }),
    );
  }

  /** Counts the time of a call. */
  computed(seconds: number): void {
    this.#counters.get("compute_seconds")!.inc(seconds);
  }

  /** Counts a job that ended. */
  ended({ rows, failures, ending }: Outcome): void {
    this.texts += rows.length;
    this.failures += failures.length;
    this.jobs++;
    const chunks = rows.flatMap((row) => row.chunks);
    this.#counters.get("texts")!.inc(rows.length);
    this.#counters.get("tokens")!.inc(chunks.reduce((sum, { tokens }) => sum + tokens, 0));
    this.#counters.get("truncated")!.inc(chunks.filter(({ truncated }) => truncated).length);
    for (const { code } of failures) this.#counters.get("failures")!.inc({ code });
    this.#counters.get("jobs")!.inc({ ending });
  }

  /** Whether the database can be reached. */
  get isReady(): boolean {
    return !this.#patience.away;
  }

  /** The text that Prometheus reads. */
  async response(): Promise<Response> {
    return new Response(await this.#registry.metrics(), { headers: { "content-type": this.#registry.contentType } });
  }
}

/** Serves `/metrics`, `/healthz` and `/readyz`, where a port is given; not ready once the worker is to stop. */
export async function serveMeasures(
  { host = "127.0.0.1", port }: WorkerOptions,
  measures: Measures,
  session: Session,
): Promise<AsyncDisposable> {
  if (port === undefined) return { [Symbol.asyncDispose]: () => Promise.resolve() };
  const listener = await listen(host, port, async (request) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/metrics") return await measures.response();
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
