/** Counts what the server does, in the names of text-embeddings-inference where the thing is the same. */
import { setImmediate } from "node:timers";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Exchange } from "./exchange.ts";
import { Answer } from "./answer.ts";
import type { Passes, ServedModel } from "./served_model.ts";

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const SIZES = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
const TOKENS = [8, 16, 32, 64, 128, 256, 512, 1024, 2048, 8192, 65536];

/** The labels of a model's numbers: two models may have one name, if one embeds and the other reranks. */
const OF = ["model", "role"] as const;
type Of = (typeof OF)[number];

/** The numbers of a server. Labels are routes and the server's own models: a client cannot make a new one. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #requests: Counter<"route">;
  readonly #succeeded: Counter<"route">;
  readonly #failed: Counter<"route" | "status">;
  readonly #duration: Histogram<"route">;
  readonly #tokenization: Histogram<"route">;
  readonly #queued: Histogram<"route">;
  readonly #inference: Histogram<"route">;
  readonly #length: Histogram<Of>;
  readonly #passSize: Histogram<Of>;
  readonly #passTokens: Histogram<Of>;
  readonly #truncated: Counter<Of>;
  readonly #cancelled: Counter<Of>;
  readonly #loads: Counter<Of>;
  readonly #unloads: Counter<Of>;
  /** What is to be counted. prom-client sorts and joins the labels of every number: an answer does not wait for that. */
  #due: (() => void)[] = [];

  constructor(models: readonly ServedModel[]) {
    const registers = [this.#registry];
    const counter = <L extends string>(name: string, help: string, ...labelNames: L[]): Counter<L> =>
      new Counter({ name, help, labelNames, registers });
    const histogram = <L extends string>(name: string, help: string, buckets: number[], ...labelNames: L[]) =>
      new Histogram<L>({ name, help, buckets, labelNames, registers });
    this.#requests = counter("te_request_count", "Requests", "route");
    this.#succeeded = counter("te_request_success", "Requests that were answered", "route");
    this.#failed = counter("te_request_failure", "Requests that got an error", "route", "status");
    this.#duration = histogram("te_request_duration", "Seconds of a request", SECONDS, "route");
    this.#tokenization = histogram("te_request_tokenization_duration", "Seconds of tokenising", SECONDS, "route");
    this.#queued = histogram(
      "te_request_queue_duration",
      "Seconds that texts waited for the model and for their first pass",
      SECONDS,
      "route",
    );
    this.#inference = histogram("te_request_inference_duration", "Seconds of a request's passes", SECONDS, "route");
    this.#passSize = histogram("te_batch_next_size", "Sequences of a pass", SIZES, ...OF);
    this.#passTokens = histogram("te_batch_next_tokens", "Tokens of a pass", TOKENS, ...OF);
    this.#length = histogram("te_request_input_length", "Tokens of a request", TOKENS, ...OF);
    this.#truncated = counter("llamasaur_truncated_total", "Texts that were cut", ...OF);
    this.#cancelled = counter(
      "llamasaur_cancelled_total",
      "Requests whose client went, or whose time was over",
      ...OF,
    );
    this.#loads = counter("llamasaur_loads_total", "Times that a model was loaded", ...OF);
    this.#unloads = counter("llamasaur_unloads_total", "Times that an idle model was unloaded", ...OF);
    for (const one of GAUGES) addGauge(this.#registry, one, models);
    addInfo(this.#registry, models);
  }

  /** Counts a request that has ended. */
  ended(exchange: Exchange, status: number): void {
    const seconds = (performance.now() - exchange.start) / 1000;
    this.#later(() => this.#count(exchange, status, seconds));
  }

  #count(exchange: Exchange, status: number, seconds: number): void {
    const { route, model, counted, cancelled } = exchange;
    this.#requests.inc({ route });
    if (status < 400) this.#succeeded.inc({ route });
    else this.#failed.inc({ route, status: String(status) });
    this.#duration.observe({ route }, seconds);
    if (model === undefined) return;
    const label = labelsOf(model);
    if (cancelled) this.#cancelled.inc(label);
    if (counted === undefined) return;
    this.#tokenization.observe({ route }, exchange.tokenizing / 1000);
    this.#queued.observe({ route }, (exchange.loading + exchange.waiting) / 1000);
    this.#inference.observe({ route }, exchange.computing / 1000);
    this.#length.observe(label, counted.tokens);
    this.#truncated.inc(label, counted.truncated);
  }

  /** Counts passes. Lanes end them so fast that several may be told of at once: these are counted as equal ones. */
  passed(model: ServedModel, { passes, sequences, tokens }: Passes): void {
    const label = labelsOf(model);
    this.#later(() => {
      for (let i = 0; i < passes; i++) {
        this.#passSize.observe(label, sequences / passes);
        this.#passTokens.observe(label, tokens / passes);
      }
    });
  }

  /** Counts a load or an unload. */
  changed(model: ServedModel, loaded: boolean): void {
    (loaded ? this.#loads : this.#unloads).inc(labelsOf(model));
  }

  /** The text that Prometheus reads. */
  async answer(): Promise<Answer> {
    this.#countAll();
    return new Answer(await this.#registry.metrics(), { "content-type": this.#registry.contentType });
  }

  #later(count: () => void): void {
    if (this.#due.push(count) === 1) setImmediate(() => this.#countAll());
  }

  #countAll(): void {
    const due = this.#due;
    this.#due = [];
    for (const count of due) count();
  }
}

interface GaugeOf {
  readonly name: string;
  readonly help: string;
  readonly value: (model: ServedModel) => number;
}

const GAUGES: readonly GaugeOf[] = [
  { name: "te_queue_size", help: "Texts that wait or are computed", value: ({ queue }) => queue.texts },
  { name: "llamasaur_queue_tokens", help: "Tokens that wait, estimated", value: ({ queue }) => queue.tokens },
  {
    name: "llamasaur_tokens_per_second",
    help: "Tokens a second while there is work",
    value: ({ queue }) => queue.rate,
  },
  {
    name: "llamasaur_sequences_computed",
    help: "Sequences computed since the model was loaded",
    value: ({ loaded }) => loaded?.activity.sequences ?? 0,
  },
  {
    name: "llamasaur_tokens_computed",
    help: "Tokens computed since the model was loaded",
    value: ({ loaded }) => loaded?.activity.tokens ?? 0,
  },
  { name: "llamasaur_model_loaded", help: "1 while the model is loaded", value: ({ loaded }) => loaded ? 1 : 0 },
  {
    name: "llamasaur_memory_bytes",
    help: "Bytes of weights and contexts at most",
    value: ({ loaded }) => loaded ? loaded.info.memory.weights + loaded.info.memory.contexts : 0,
  },
];

function addGauge(registry: Registry, { name, help, value }: GaugeOf, models: readonly ServedModel[]): void {
  registry.registerMetric(
    new Gauge({
      name,
      help,
      labelNames: [...OF],
      registers: [],
      collect(this: Gauge<Of>) {
        for (const model of models) this.set(labelsOf(model), value(model));
      },
    }),
  );
}

function addInfo(registry: Registry, models: readonly ServedModel[]): void {
  registry.registerMetric(
    new Gauge({
      name: "llamasaur_model_info",
      help: "1 for each model, with its fingerprint",
      labelNames: [...OF, "fingerprint"],
      registers: [],
      collect(this: Gauge<Of | "fingerprint">) {
        this.reset();
        for (const model of models) {
          this.set({ ...labelsOf(model), fingerprint: model.known?.fingerprint ?? "" }, 1);
        }
      },
    }),
  );
}

function labelsOf({ name: model, role }: ServedModel): Record<Of, string> {
  return { model, role };
}
