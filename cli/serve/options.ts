/** Checks what a handler is made with: a misspelt `keys` would leave a server open to everybody. */
import type { Truncate } from "@llamasaur/llamasaur";
import { quoted } from "../quote.ts";
import type { GuardOptions } from "./guard.ts";
import type { LogEntry } from "./log.ts";
import type { ModelOptions } from "./served_model.ts";

/** Options of a handler. */
export interface HandlerOptions extends GuardOptions {
  /** Whether a name must be one of a model's, also where there is only one model of the role. @default {false} */
  readonly strictNames?: boolean | undefined;
  /** What becomes of long texts where a request says nothing. @default {"end"} */
  readonly truncate?: Truncate | undefined;
  /** Tokens that may wait for a model; an empty queue takes any request. @default {2_000_000} */
  readonly maxQueueTokens?: number | undefined;
  /** Texts of one request. Default: any number. */
  readonly maxBatchSize?: number | undefined;
  /** Bytes of a body. @default {64_000_000} */
  readonly maxBody?: number | undefined;
  /** Milliseconds that the model may take for a request. Default: any time. */
  readonly timeout?: number | undefined;
  /** Milliseconds without work after which a model is unloaded. Default: never. */
  readonly keepAlive?: number | undefined;
  /** Hears of each request, and of models that are loaded and unloaded. There is no text of a request in it. */
  readonly onLog?: ((entry: LogEntry) => void) | undefined;
}

/** What each option must be, where a wrong one would do something else in silence. */
type Kinds<Options> = { readonly [K in keyof Required<Options>]: "list" | "role" | "any" };

const HANDLER: Kinds<HandlerOptions> = {
  keys: "list",
  loopback: "any",
  allowHosts: "list",
  allowOrigins: "list",
  strictNames: "any",
  truncate: "any",
  maxQueueTokens: "any",
  maxBatchSize: "any",
  maxBody: "any",
  timeout: "any",
  keepAlive: "any",
  onLog: "any",
};

const MODEL: Kinds<ModelOptions> = {
  model: "any",
  role: "role",
  names: "list",
  queryPrompt: "any",
  documentPrompt: "any",
  dimensions: "any",
  load: "any",
};

/**
 * Checks the names of all options, and the lists among their values.
 *
 * @throws {TypeError} when there is no option of a name, or a list is none; the message names it and what there is.
 */
export function checkHandlerOptions(models: readonly ModelOptions[], options: HandlerOptions): void {
  models.forEach((model, i) => check(`models[${i}]`, model, MODEL));
  check("options", options, HANDLER);
}

function check<Options extends object>(what: string, options: Options, kinds: Kinds<Options>): void {
  for (const [name, value] of Object.entries(options as Readonly<Record<string, unknown>>)) {
    const kind = Object.hasOwn(kinds, name) ? kinds[name as keyof Options] : undefined;
    if (value === undefined) continue;
    if (kind === undefined) {
      const known = Object.keys(kinds).join(", ");
      throw new TypeError(`Cannot read ${what}: ${quoted(name)} is not known; the options are ${known}`);
    }
    if (kind === "list" && !(Array.isArray(value) && value.every((one) => typeof one === "string"))) {
      throw new TypeError(`Cannot read ${what}: ${name} must be an array of strings`);
    }
    if (kind === "role" && value !== "embed" && value !== "rerank") {
      throw new TypeError(`Cannot read ${what}: role must be "embed" or "rerank"`);
    }
  }
}
