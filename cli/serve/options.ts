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
  /** Milliseconds that the model may take for a request, its load included, at most 2,147,483,647. Default: any time. */
  readonly timeout?: number | undefined;
  /** Milliseconds without work after which a model is unloaded, at most 2,147,483,647. Default: never. */
  readonly keepAlive?: number | undefined;
  /**
   * Hears of each request, and of models that are loaded and unloaded. There is no text of a request in it. What it throws is
   * told by `console.warn` once, and changes nothing else.
   */
  readonly onLog?: ((entry: LogEntry) => void) | undefined;
}

/** What holds where nothing is said. */
export const STANDARD: {
  readonly strictNames: boolean;
  readonly truncate: Truncate;
  readonly maxQueueTokens: number;
  readonly maxBody: number;
} = { strictNames: false, truncate: "end", maxQueueTokens: 2_000_000, maxBody: 64_000_000 };

const LONGEST = 2 ** 31 - 1; // milliseconds of a timer; a longer one ends at once

/** What an option must be, and in words: a wrong value would do something else in silence. */
const KINDS = {
  any: { fits: () => true, words: "" },
  list: { fits: (value) => Array.isArray(value) && value.every(isText), words: "an array of strings" },
  role: { fits: (value) => value === "embed" || value === "rerank", words: '"embed" or "rerank"' },
  cut: { fits: (value) => ["end", "start", "error"].includes(String(value)), words: '"end", "start" or "error"' },
  flag: { fits: (value) => typeof value === "boolean", words: "true or false" },
  text: { fits: isText, words: "a string" },
  number: { fits: (value) => typeof value === "number" && value > 0, words: "a number above 0" },
  span: { fits: (value) => isSpan(value), words: `milliseconds, at most ${LONGEST}; undefined is without an end` },
  time: { fits: (value) => isSpan(value) && value > 0, words: `milliseconds from 1 to ${LONGEST}` },
  function: { fits: (value) => typeof value === "function", words: "a function" },
} as const satisfies Readonly<Record<string, { fits: (value: unknown) => boolean; words: string }>>;

type Kinds<Options> = { readonly [K in keyof Required<Options>]: keyof typeof KINDS };

const HANDLER: Kinds<HandlerOptions> = {
  keys: "list",
  loopback: "flag",
  allowHosts: "list",
  allowOrigins: "list",
  strictNames: "flag",
  truncate: "cut",
  maxQueueTokens: "number",
  maxBatchSize: "number",
  maxBody: "number",
  timeout: "time",
  keepAlive: "span",
  onLog: "function",
};

const MODEL: Kinds<ModelOptions> = {
  model: "any", // Llama.load says what is wrong
  role: "role",
  names: "list",
  queryPrompt: "text",
  documentPrompt: "text",
  dimensions: "number",
  load: "any",
};

/**
 * Checks the names and the values of all options.
 *
 * @throws {TypeError} when there is no option of a name, or a value is of no use; the message names it and what there is.
 */
export function checkHandlerOptions(models: readonly ModelOptions[], options: HandlerOptions): void {
  if (models.length === 0) throw new TypeError("Cannot serve nothing: models must have at least one model, is empty");
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
    const { fits, words } = KINDS[kind];
    // A value may be a key, so it is not told.
    if (!fits(value)) throw new TypeError(`Cannot read ${what}: ${name} must be ${words}`);
  }
}

function isSpan(value: unknown): value is number {
  return typeof value === "number" && value >= 0 && value <= LONGEST;
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}
