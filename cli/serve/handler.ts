/** Makes the handler: guard, routes, limits, and one place where each request begins and ends. */
import { randomUUID } from "node:crypto";
import { type Body, readBody } from "./body.ts";
import { Exchange, Gone, type Limits } from "./exchange.ts";
import { Guard } from "./guard.ts";
import { entryOf, type LogEntry } from "./log.ts";
import { Metrics } from "./metrics.ts";
import { Models } from "./models.ts";
import { addOllama } from "./ollama.ts";
import { addOpenAI } from "./openai.ts";
import { addOperations } from "./operations.ts";
import { checkHandlerOptions, type HandlerOptions } from "./options.ts";
import { familyOf, Problem, problemOf, problemResponse } from "./problem.ts";
import { addRerank } from "./rerank.ts";
import { Routes, type Run } from "./routes.ts";
import { type ModelOptions, type Passes, ServedModel } from "./served_model.ts";
import { addTei } from "./tei.ts";

/** A handler of requests. */
export interface Handler {
  /** Answers a request; never rejects. */
  fetch(request: Request): Promise<Response>;
  /** Loads every model and computes one text with each. */
  ready(): Promise<void>;
  /** Says "not ready" from now on; resolves when no request runs. Requests are answered all the same. */
  drain(): Promise<void>;
  /** Ends running requests and closes the models that it loaded. */
  close(): Promise<void>;
}

const MOST_BODY = 64_000_000;
const MOST_TOKENS = 2_000_000;

/**
 * Makes a handler that serves models, for `Deno.serve`, `Bun.serve`, or to mount in a Hono app. It opens no socket and reads
 * no environment.
 *
 * @param models The models, each with its role and names.
 * @param options See {@linkcode HandlerOptions}.
 * @returns The handler; a model that is no `Llama` yet is loaded by `ready()`, or by the first request for it.
 * @throws {TypeError} when there is no option of a name; the message names those that there are.
 * @throws {RangeError} when two models of a role have the same name, or every origin is allowed without a key.
 * @example
 * ```ts ignore
 * import { createHandler } from "llamasaur/serve";
 *
 * const handler = createHandler([{ role: "embed", model: "all-minilm-l6-v2", names: ["minilm"] }]);
 * Deno.serve({ port: 8411 }, handler.fetch);
 * ```
 */
export function createHandler(models: readonly ModelOptions[], options: HandlerOptions = {}): Handler {
  checkHandlerOptions(models, options);
  const { names: _, ...handler } = handlerOf(models, options);
  return handler;
}

/** The handler, and the names that clients can choose: those with a prompt are there where it is known. */
export function handlerOf(
  models: readonly ModelOptions[],
  options: HandlerOptions,
): Handler & { names(): readonly string[] } {
  const server = new Server(models, options);
  return {
    fetch: (request) => server.fetch(request),
    ready: () => server.ready(),
    drain: () => server.drain(),
    close: () => server.close(),
    names: () => server.names(),
  };
}

class Server {
  readonly #models: Models;
  readonly #guard: Guard;
  readonly #metrics: Metrics;
  readonly #routes: Routes;
  readonly #limits: Limits;
  readonly #end = new AbortController();
  readonly #onLog: ((entry: LogEntry) => void) | undefined;
  readonly #running = new Set<Promise<unknown>>();
  #draining = false;

  constructor(models: readonly ModelOptions[], options: HandlerOptions) {
    const { maxQueueTokens = MOST_TOKENS, maxBody = MOST_BODY, truncate = "end", keepAlive, onLog } = options;
    const { maxBatchSize, timeout, strictNames = false } = options;
    this.#onLog = onLog;
    this.#guard = new Guard(options);
    const keep = {
      keepAlive,
      maxQueueTokens,
      onChange: (model: ServedModel, loaded: boolean, milliseconds: number) => {
        this.#metrics.changed(model, loaded);
        onLog?.({
          event: loaded ? "load" : "unload",
          model: model.name,
          ...(loaded && { ms: Math.round(milliseconds) }),
        });
      },
      onPasses: (model: ServedModel, passes: Passes) => this.#metrics.passed(model, passes),
    };
    this.#models = new Models(models.map((one) => new ServedModel(one, keep)), strictNames);
    this.#metrics = new Metrics(this.#models.all);
    this.#limits = { truncate, maxBatchSize, maxBody, timeout, end: this.#end.signal };
    this.#routes = new Routes(this.#run);
    addOpenAI(this.#routes, this.#models);
    addRerank(this.#routes, this.#models);
    addTei(this.#routes, this.#models, maxBatchSize);
    addOllama(this.#routes, this.#models, (message) => onLog?.({ event: "note", message }));
    addOperations(this.#routes, this.#metrics, () => this.#isReady());
  }

  async fetch(given: Request): Promise<Response> {
    const url = urlOf(given);
    const path = url?.pathname ?? "";
    // On Bun a request without a Host has a path for its URL, which Hono cannot read.
    const request = url === undefined || given.url.includes("://") ? given : new Request(url, given);
    let headers: Record<string, string> = {};
    try {
      if (url === undefined) throw new Problem("invalid", "Cannot read the request: its Host and path make no URL");
      const preflight = this.#guard.preflight(request);
      if (preflight) return preflight;
      headers = this.#guard.check(request, path);
      if (!this.#routes.methods(path).includes(request.method)) throw this.#unrouted(request.method, path);
    } catch (error) {
      const problem = problemOf(error);
      return withHeaders(problemResponse(problem, familyOf(path)), {
        ...headers,
        ...this.#refused(request, path, problem),
      });
    }
    const answer = Promise.resolve(this.#routes.app.fetch(request));
    this.#running.add(answer);
    try {
      return withHeaders(await answer, headers);
    } finally {
      this.#running.delete(answer);
    }
  }

  names(): readonly string[] {
    return this.#models.all.flatMap((model) => model.choices);
  }

  async ready(): Promise<void> {
    await Promise.all(this.#models.all.map((model) => model.ready(true)));
  }

  async drain(): Promise<void> {
    this.#draining = true;
    while (this.#running.size > 0) await Promise.allSettled([...this.#running]);
  }

  async close(): Promise<void> {
    this.#draining = true;
    this.#end.abort();
    await Promise.allSettled([...this.#running]);
    await Promise.all(this.#models.all.map((model) => model.close()));
  }

  async #isReady(): Promise<boolean> {
    if (this.#draining) return false;
    const ready = await Promise.all(this.#models.all.map((model) => model.ready(false)));
    return ready.every(Boolean);
  }

  /** Runs a request's route: the one place where requests end. */
  readonly #run: Run = async (request, route, family, handle) => {
    const exchange = new Exchange(request, route, family, this.#limits);
    const id = requestId(request);
    const { maxBody, end } = this.#limits;
    const read = (): Promise<Body> => readBody(request, maxBody, exchange.family === "ollama", end);
    let response: Response;
    let failure: Problem | undefined;
    try {
      response = await handle(exchange, read);
    } catch (error) {
      // Nobody reads the answer to a client that has gone: 499 is what nginx logs.
      const gone = error instanceof Gone;
      failure = gone ? new Problem("unavailable", "the client has gone") : problemOf(error);
      if (failure.kind === "internal") this.#onLog?.({ event: "error", id, route, message: shortly(error) });
      response = gone ? new Response(null, { status: 499 }) : problemResponse(failure, exchange.family);
    }
    this.#metrics.ended(exchange, response.status);
    if (!QUIET.includes(route)) this.#onLog?.(entryOf(exchange, id, response.status, failure?.kind));
    return withHeaders(response, { "x-request-id": id });
  };

  #unrouted(method: string, path: string): Problem {
    const allow = this.#routes.methods(path).join(", ");
    if (allow !== "") {
      return new Problem("method_not_allowed", `Cannot ${method.slice(0, 20)} this: it takes ${allow}`, { allow });
    }
    return new Problem("not_found", "Cannot find this route: /openapi.json lists what there is");
  }

  /** Counts and logs a request that reaches no route. */
  #refused(request: Request, path: string, problem: Problem): Record<string, string> {
    const id = requestId(request);
    const route = this.#routes.methods(path).length > 0 ? path : "unknown";
    const exchange = new Exchange(
      request,
      route.startsWith("/v1/models/") ? "/v1/models/{id}" : route,
      familyOf(path),
      this.#limits,
    );
    const { status } = problemResponse(problem, familyOf(path));
    this.#metrics.ended(exchange, status);
    this.#onLog?.(entryOf(exchange, id, status, problem.kind));
    return { "x-request-id": id };
  }
}

/** The URL of a request; undefined where its Host or its path is none. */
function urlOf({ url }: Request): URL | undefined {
  return URL.canParse(url, "http://localhost") ? new URL(url, "http://localhost") : undefined;
}

const QUIET: readonly string[] = ["/healthz", "/readyz", "/metrics", "/health"];

/** The request's own id, if it is one that a log can have, else a new one. */
function requestId(request: Request): string {
  const given = request.headers.get("x-request-id");
  return given !== null && /^[\w.:-]{1,128}$/.test(given) ? given : randomUUID();
}

function withHeaders(response: Response, headers: Record<string, string>): Response {
  for (const [name, value] of Object.entries(headers)) response.headers.set(name, value);
  return response;
}

function shortly(error: unknown): string {
  return error instanceof Error
    ? `${error.name}: ${error.message.slice(0, 500)}`
    : "something was thrown that is no error";
}
