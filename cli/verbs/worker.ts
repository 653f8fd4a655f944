/** Computes the vectors that `backfill` planned, beside any number of other workers. */
import { UsageError } from "../failure.ts";
import { MODEL_OPTIONS } from "../model.ts";
import { quoted } from "../quote.ts";
import type { Session } from "../session.ts";
import { span } from "../spans.ts";
import { collected, integer } from "../values.ts";
import type { Given, Verb } from "../verb.ts";
import type { WorkerOptions } from "../worker/settings.ts";
import { DATABASE } from "./backfill.ts";

/** pg-boss takes no shorter heartbeat. */
const SHORTEST_HEARTBEAT = 10_000;

/** The verb. */
export const verb: Verb<WorkerOptions> = {
  arguments: "",
  description: "Takes jobs of `backfill`, computes their vectors and writes them, until it is told to stop. " +
    "Start and kill as many as you like, on any machine that reaches the database.",
  shared: [],
  options: [
    DATABASE,
    {
      flags: "--model <model>",
      description: "a model whose jobs it takes: a GGUF file, a name of the catalogue or hf:…; repeatable",
      env: "LLAMASAUR_MODEL",
      read: collected,
    },
    ...MODEL_OPTIONS.filter(({ flags }) => !flags.startsWith("--model")),
    {
      flags: "--concurrency <jobs>",
      description: "jobs that are computed at once; one more is read meanwhile",
      read: integer("--concurrency", 1, 64),
      default: 1,
    },
    { flags: "--rate <texts>", description: "texts a second at most", read: integer("--rate", 1) },
    {
      flags: "--heartbeat <span>",
      description: "after so long a silence another has its job, at least 10s (default: 30s)",
      read: heartbeat,
    },
    {
      flags: "--grace <span>",
      description: "time to finish jobs when it is told to stop (default: 30s)",
      read: span("--grace"),
    },
    {
      flags: "--give-up <span>",
      description: "ends when the database was away so long (default: 10m)",
      read: span("--give-up"),
    },
    { flags: "--stop-when-empty", description: "ends when no job is left" },
    { flags: "--host <address>", description: "address of the port (default: 127.0.0.1)" },
    {
      flags: "--port <number>",
      description: "serves /metrics, /healthz and /readyz",
      read: integer("--port", 0, 65535),
    },
  ],
  examples: [
    "worker --model all-minilm-l6-v2",
    "worker --model all-minilm-l6-v2 --stop-when-empty --port 9100",
  ],
  run,
};

async function run({ args, options }: Given<WorkerOptions>, session: Session): Promise<void> {
  if (args.length > 0) throw new UsageError(`Cannot take ${quoted(args[0]!)}: worker has options alone`);
  const { work } = await import("../worker/worker.ts");
  await work(options, session);
}

function heartbeat(value: string): number {
  const found = span("--heartbeat")(value);
  if (found >= SHORTEST_HEARTBEAT) return found;
  throw new UsageError(`Cannot take --heartbeat ${quoted(value)}: it must be at least 10s`);
}
