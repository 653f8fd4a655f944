/** Settles what `llamasaur serve` serves and how: from its flags, and from the file that `--config` names. */
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { z } from "zod";
import { UsageError } from "../failure.ts";
import { quoted, shown } from "../quote.ts";
import { millisecondsOf } from "../spans.ts";
import { sizeOf } from "../values.ts";
import { isLoopback } from "./guard.ts";
import { STANDARD } from "./options.ts";
import { defaultName, type Role } from "./served_model.ts";
import { wordsOf } from "./words.ts";

/** What can be chosen for one model in the file, and for all by flags. */
interface ModelChoices {
  readonly queryPrompt?: string | undefined;
  readonly documentPrompt?: string | undefined;
  readonly dimensions?: number | undefined;
  readonly contexts?: number | undefined;
  readonly device?: string | undefined;
  readonly memoryLimit?: number | undefined;
}

/** The flags as they were given. */
export interface ServeFlags extends ModelChoices {
  readonly embed?: readonly string[] | undefined;
  readonly rerank?: readonly string[] | undefined;
  readonly config?: string | undefined;
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  readonly apiKeyFile?: string | undefined;
  readonly auth?: boolean | undefined;
  readonly allowHost?: readonly string[] | undefined;
  readonly cors?: readonly string[] | undefined;
  readonly strictNames?: boolean | undefined;
  readonly truncate?: "end" | "start" | "error" | undefined;
  readonly library?: string | undefined;
  readonly keepAlive?: number | undefined;
  readonly lazy?: boolean | undefined;
  readonly download?: boolean | undefined;
  readonly maxQueueTokens?: number | undefined;
  readonly maxBatchSize?: number | undefined;
  readonly maxBody?: number | undefined;
  readonly timeout?: number | undefined;
  readonly drain?: number | undefined;
  readonly grace?: number | undefined;
  readonly log?: "json" | "text" | undefined;
  readonly printConfig?: boolean | undefined;
}

/** A model that is to be served. */
export interface ModelSettings extends ModelChoices {
  readonly role: Role;
  readonly model: string;
  readonly names: readonly string[];
}

/** Everything that is settled. */
export interface Settings extends Omit<ServeFlags, "embed" | "rerank" | "config" | "printConfig"> {
  readonly models: readonly ModelSettings[];
  readonly host: string;
  readonly port: number;
  readonly keys: readonly string[];
  readonly grace: number;
  readonly drain: number;
  readonly log: "json" | "text";
}

const SPAN = z.string().transform((value, context) => {
  const found = millisecondsOf(value);
  if (found === undefined) context.addIssue({ code: "custom", message: "it must be a span of time such as 2s or 5m" });
  return found ?? 0;
});
const COUNT = z.int().min(1);
const SIZE = 'it must be bytes, such as 500000000 or "2GB"';
const BYTES = z.union([
  COUNT,
  z.string().transform((value, context) => {
    const found = sizeOf(value);
    if (found === undefined) context.addIssue({ code: "custom", message: SIZE });
    return found ?? 0;
  }),
], { error: SIZE });

const MODEL = z.strictObject({
  model: z.string(),
  names: z.array(z.string().min(1)).min(1).optional(),
  queryPrompt: z.string().optional(),
  documentPrompt: z.string().optional(),
  dimensions: COUNT.optional(),
  contexts: COUNT.optional(),
  device: z.string().optional(),
  memoryLimit: BYTES.optional(),
});

const CONFIG = z.strictObject({
  $schema: z.string().optional(), // editors look there
  embed: z.array(MODEL).optional(),
  rerank: z.array(MODEL).optional(),
  host: z.string().optional(),
  port: z.int().min(0).max(65535).optional(),
  apiKeyFile: z.string().optional(),
  auth: z.boolean().optional(),
  allowHost: z.array(z.string()).optional(),
  cors: z.array(z.string()).optional(),
  strictNames: z.boolean().optional(),
  truncate: z.enum(["end", "start", "error"]).optional(),
  queryPrompt: z.string().optional(),
  documentPrompt: z.string().optional(),
  dimensions: COUNT.optional(),
  contexts: COUNT.optional(),
  device: z.string().optional(),
  memoryLimit: BYTES.optional(),
  library: z.string().optional(),
  keepAlive: SPAN.optional(),
  lazy: z.boolean().optional(),
  download: z.boolean().optional(),
  maxQueueTokens: COUNT.optional(),
  maxBatchSize: COUNT.optional(),
  maxBody: BYTES.optional(),
  timeout: SPAN.optional(),
  drain: SPAN.optional(),
  grace: SPAN.optional(),
  log: z.enum(["json", "text"]).optional(),
});

/** The JSON Schema of the file that `--config` names. */
export function configSchema(): object {
  return z.toJSONSchema(CONFIG, { io: "input" });
}

/** What holds where neither flags nor the file say anything. */
const ALL = {
  host: "127.0.0.1",
  port: 8411,
  auth: true,
  ...STANDARD,
  lazy: false,
  download: false,
  drain: 0,
  grace: 30_000,
  log: "text",
} as const;

/** Settles everything; what is wrong is a UsageError. */
export function settle(flags: ServeFlags): Settings {
  const { embed = [], rerank = [], config, printConfig: _, ...rest } = flags;
  const file: Partial<z.output<typeof CONFIG>> = config === undefined ? {} : readConfig(config);
  const { $schema: __, embed: filed = [], rerank: alsoFiled = [], ...merged } = {
    ...ALL,
    ...defined(file),
    ...defined(rest),
  };
  const named = (role: Role, words: readonly string[], listed: readonly z.output<typeof MODEL>[]): ModelSettings[] => [
    ...words.map((word) => ({ role, ...readWord(word) })),
    ...listed.map((one) => ({ role, ...one, names: one.names ?? [defaultName(one.model)] })),
  ];
  const models = [...named("embed", embed, filed), ...named("rerank", rerank, alsoFiled)];
  if (models.length === 0) {
    throw new UsageError("Cannot serve nothing: give --embed or --rerank, such as --embed all-minilm-l6-v2");
  }
  const { apiKeyFile, auth } = merged;
  if (merged.timeout === 0) {
    throw new UsageError("Cannot answer within no time: give --timeout a span, or leave it out");
  }
  const host = merged.host.replace(/^\[(.*)\]$/, "$1"); // a URL has brackets around IPv6, a socket has not
  const keys = apiKeyFile === undefined || !auth ? [] : readKeys(apiKeyFile);
  if (!isLoopback(host) && keys.length === 0 && auth) {
    throw new UsageError(
      `Cannot listen on ${quoted(host)} without a key: others reach it; give --api-key-file FILE, or --no-auth`,
    );
  }
  return { ...merged, host, keys, models: share(models, merged) };
}

type Defined<Given> = { [K in keyof Given]: Exclude<Given[K], undefined> };

/** What was given at all. */
function defined<Given extends object>(given: Given): Defined<Given> {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Defined<Given>;
}

/** Gives each model what is for all: its own word goes before; cores are divided. */
function share(models: readonly ModelSettings[], all: Partial<ServeFlags>): ModelSettings[] {
  const cores = models.length === 1 ? undefined : Math.max(1, Math.floor(availableParallelism() / models.length));
  return models.map((model) => ({
    ...model,
    queryPrompt: model.queryPrompt ?? all.queryPrompt,
    documentPrompt: model.documentPrompt ?? all.documentPrompt,
    dimensions: model.role === "embed" ? model.dimensions ?? all.dimensions : undefined,
    contexts: model.contexts ?? all.contexts ?? cores,
    device: model.device ?? all.device,
  }));
}

/** Reads `M=NAME,ALIAS`: cut at the last `=`. */
function readWord(word: string): { model: string; names: string[] } {
  const at = word.lastIndexOf("=");
  const model = at < 0 ? word : word.slice(0, at);
  const names = at < 0 ? [defaultName(word)] : word.slice(at + 1).split(",").map((name) => name.trim());
  if (model !== "" && names.every((name) => name !== "")) return { model, names };
  throw new UsageError(`Cannot read the model ${quoted(word)}: it must be MODEL, or MODEL=NAME,ALIAS`);
}

function readConfig(path: string): z.output<typeof CONFIG> {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    const reason = error instanceof SyntaxError ? "it is not JSON" : (error as Error).message;
    throw new UsageError(`Cannot read --config ${shown(path)}: ${reason}`);
  }
  const { success, data, error } = CONFIG.safeParse(value, { error: wordsOf });
  if (success) return data;
  const issue = error.issues[0]!;
  const at = issue.path.join(".") || "the file";
  throw new UsageError(`Cannot read --config ${shown(path)}: ${at}: ${issue.message}`);
}

/** Keys, one a line; lines that begin with # are none. */
function readKeys(path: string): string[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new UsageError(`Cannot read --api-key-file ${shown(path)}: ${(error as Error).message}`);
  }
  const keys = text.split("\n").map((line) => line.trim()).filter((line) => line !== "" && !line.startsWith("#"));
  if (keys.length > 0 && keys.every((key) => /^\S+$/.test(key))) return keys;
  throw new UsageError(`Cannot read --api-key-file ${shown(path)}: it must have one key a line, without spaces`);
}
