/** Says what is wrong with a request, in the words and the body of the family of routes that it was sent to. */
import { isWrongArgument } from "../failure.ts";
import { Answer } from "./answer.ts";

/** A family of routes: each has its own body for errors. */
export type Family = "openai" | "rerank" | "tei" | "ollama";

/** What kind of trouble it is. */
export type Kind =
  | "invalid"
  | "unauthorized"
  | "forbidden"
  | "model_not_found"
  | "wrong_model"
  | "too_long"
  | "batch_too_large"
  | "not_found"
  | "method_not_allowed"
  | "payload_too_large"
  | "unsupported_media_type"
  | "overloaded"
  | "unavailable"
  | "no_memory"
  | "internal";

const STATUS: Readonly<Record<Kind, number>> = {
  invalid: 400,
  unauthorized: 401,
  forbidden: 403,
  model_not_found: 404,
  wrong_model: 404,
  too_long: 400,
  batch_too_large: 413,
  not_found: 404,
  method_not_allowed: 405,
  payload_too_large: 413,
  unsupported_media_type: 415,
  overloaded: 429,
  unavailable: 503,
  no_memory: 503,
  internal: 500,
};

/** Every kind of trouble. */
export const KINDS: readonly Kind[] = Object.keys(STATUS) as Kind[];

// As text-embeddings-inference (router/src/http/types.rs and server.rs) answers.
const TEI_STATUS: Partial<Readonly<Record<Kind, number>>> = {
  invalid: 422,
  too_long: 422,
  batch_too_large: 422,
  wrong_model: 424,
  model_not_found: 424,
};
const TEI_TYPE: Partial<Readonly<Record<Kind, string>>> = {
  wrong_model: "Backend",
  model_not_found: "Backend",
  overloaded: "Overloaded",
  unavailable: "Unhealthy",
  no_memory: "Unhealthy",
  internal: "Backend",
};

/** A request that gets no answer but an error. The message says what is wanted, and never has a text of the request. */
export class Problem extends Error {
  override readonly name = "Problem";
  readonly kind: Kind;
  /** The field of the body that is wrong. */
  readonly field: string | undefined;
  /** Seconds after which it may be tried again. */
  readonly retryAfter: number | undefined;
  /** The methods that the route has. */
  readonly allow: string | undefined;

  constructor(
    kind: Kind,
    message: string,
    more: { readonly field?: string | undefined; readonly retryAfter?: number; readonly allow?: string } = {},
  ) {
    super(message);
    this.kind = kind;
    this.field = more.field;
    this.retryAfter = more.retryAfter;
    this.allow = more.allow;
  }
}

/** The answer that tells of a problem. */
export function problemAnswer(problem: Problem, family: Family): Answer {
  const status = (family === "tei" ? TEI_STATUS[problem.kind] : undefined) ?? STATUS[problem.kind];
  const headers: Record<string, string> = {};
  if (problem.retryAfter !== undefined) headers["retry-after"] = String(problem.retryAfter);
  if (problem.allow !== undefined) headers["allow"] = problem.allow;
  if (problem.kind === "unauthorized") headers["www-authenticate"] = "Bearer";
  return Answer.json(bodyOf(problem, status, family), headers, status);
}

function bodyOf(problem: Problem, status: number, family: Family): Record<string, unknown> {
  const { kind, message, field } = problem;
  if (family === "tei") return { error: message, error_type: TEI_TYPE[kind] ?? "Validation" };
  // Ollama's own words: programs look for them.
  if (family === "ollama") {
    return { error: kind === "too_long" ? `the input length exceeds the context length: ${message}` : message };
  }
  const type = status >= 500
    ? "server_error"
    : kind === "overloaded"
    ? "rate_limit_error"
    : kind === "unauthorized"
    ? "authentication_error"
    : "invalid_request_error";
  const error = { message, type, param: field ?? null, code: CODES[kind] ?? null };
  return family === "openai" ? { error } : { error, message, detail: message };
}

const CODES: Partial<Readonly<Record<Kind, string>>> = {
  unauthorized: "invalid_api_key",
  model_not_found: "model_not_found",
  wrong_model: "model_not_found",
  too_long: "context_length_exceeded",
  batch_too_large: "batch_too_large",
  payload_too_large: "payload_too_large",
  overloaded: "rate_limit_exceeded",
  not_found: "unknown_url",
  method_not_allowed: "method_not_allowed",
};

/** The family that a path belongs to. */
export function familyOf(path: string): Family {
  if (path.startsWith("/api/")) return "ollama";
  if (/^(\/v[12])?\/rerank$/.test(path)) return "rerank";
  return ["/embed", "/", "/info", "/health"].includes(path) ? "tei" : "openai";
}

/** Where the library's remedy is a call of its own: what a client does instead. */
const REMEDIES: readonly (readonly [RegExp, string])[] = [
  [/or pass truncate: "end"$/, "or let it be cut (truncate: true)"],
  [/; text\.toWellFormed\(\) replaces such$/, "; send whole characters"],
  [/, or pass a template with \{instruction\} to Llama\.load$/, ""],
];

/**
 * The problem that an error is. What the library says of an argument is the client's; other errors are the server's own
 * fault, also a `TypeError` that a runtime throws, and none of the client's requests would mend them.
 */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (!(error instanceof Error)) return new Problem("internal", "Cannot answer: something failed");
  const { name } = error;
  const message = REMEDIES.reduce((text, [pattern, remedy]) => text.replace(pattern, remedy), error.message);
  if (name === "LoadFailure") {
    return new Problem("internal", "Cannot answer: the model cannot be loaded; the log says more");
  }
  if (isWrongArgument(error)) {
    const isLong = /\btokens?\b.*\b(limit is|leaves room for)\b/.test(message);
    const [, field] = /^Cannot (?:read|embed|rank(?: with (?:this|an))?) (\w+)/.exec(message) ?? [];
    return new Problem(isLong ? "too_long" : "invalid", message, FIELDS.includes(field!) ? { field } : {});
  }
  const { code, memoryLimit } = error as { readonly code?: unknown; readonly memoryLimit?: unknown };
  if (name === "LlamaError" && code === "model-unsupported") return new Problem("wrong_model", message);
  if (name === "LlamaError" && code === "non-finite") return new Problem("invalid", message);
  if (name === "LlamaError" && code === "out-of-memory") {
    // A limit has room for shorter texts; where the system has no memory, the very same text may pass later.
    if (memoryLimit !== undefined) return new Problem("too_long", message);
    return new Problem("no_memory", "Cannot answer now: the machine has not enough memory; the log says more");
  }
  if (name === "LlamaError" && code === "closed") {
    return new Problem("unavailable", "Cannot answer: the server is closing");
  }
  return new Problem("internal", "Cannot answer: the model failed; the log says more");
}

/** Arguments of the library that a body has by the same names. */
const FIELDS = ["input", "inputs", "prompt", "query", "documents", "texts", "dimensions", "instruction"];

/** An error of the library about one text, with the name that the body has for it. The error is of this call alone. */
export function namedAs(error: unknown, nameOf: (index: number) => string): unknown {
  if (error instanceof Error) {
    error.message = error.message.replace(
      /^(Cannot \w+ )(?:input|documents)\[(\d+)\]/,
      (_, before, index) => before + nameOf(Number(index)),
    );
  }
  return error;
}
