/** Makes the handler: guard, routes, limits, and one place where each request begins and ends. */
import { randomUUID } from "node:crypto";
import { Answer } from "./answer.ts";
import { type Asked, askedOf } from "./asked.ts";
import { type Body, readBody } from "./body.ts";
import { Exchange, Gone, type Limits } from "./exchange.ts";
import { Guard } from "./guard.ts";
import { entryOf, harmless, type LogEntry } from "./log.ts";
import { Metrics } from "./metrics.ts";
import { Models } from "./models.ts";
import { addOllama } from "./ollama.ts";
import { addOpenAI } from "./openai.ts";
import { addOperations } from "./operations.ts";
import { checkHandlerOptions, type HandlerOptions, STANDARD } from "./options.ts";
import { familyOf, Problem, problemAnswer, problemOf } from "./problem.ts";
import { addRerank } from "./rerank.ts";
import { noRoute, Routes, type Run } from "./routes.ts";
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

/**
 * Makes a handler that serves models, for `Deno.serve`, `Bun.serve`, or to mount in a Hono app. It opens no socket and reads
 * no environment.
 *
 * @param models The models, each with its role and names.
 * @param options See {@linkcode HandlerOptions}.
 * @returns The handler; a model that is no `Llama` yet is loaded by `ready()`, or by the first request for it.
 * @throws {TypeError} when there is no model, or no option of a name; the message names those that there are.
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
  const { names: _, answer: __, ...handler } = handlerOf(models, options);
  return handler;
}

/** A handler as our own socket has it. */
export interface OwnHandler extends Handler {
  /** As `fetch`, without what a `Request` and a `Response` take. */
  answer(asked: Asked): Promise<Answer>;
  /** The names that clients can choose: those with a prompt are there where it is known. */
  names(): readonly string[];
}

/** As {@linkcode createHandler}, of options that are checked. */
export function handlerOf(models: readonly ModelOptions[], options: HandlerOptions): OwnHandler {
  const server = new Server(models, options);
  return {
    fetch: async (request) => (await server.answer(askedOf(request))).response(),
    answer: (asked) => server.answer(asked),
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
  readonly #log: (entry: LogEntry) => void;
  readonly #running = new Set<Promise<unknown>>();
  #draining = false;

  constructor(models: readonly ModelOptions[], options: HandlerOptions) {
    const { strictNames = STANDARD.strictNames, truncate = STANDARD.truncate } = options;
    const { maxQueueTokens = STANDARD.maxQueueTokens, maxBody = STANDARD.maxBody } = options;
    const { maxBatchSize, timeout, keepAlive } = options;
    const log = harmless(options.onLog);
    this.#log = log;
    this.#guard = new Guard(options);
    const keep = {
      keepAlive,
      maxQueueTokens,
      onChange: (model: ServedModel, loaded: boolean, milliseconds: number) => {
        this.#metrics.changed(model, loaded);
        log({
          event: loaded ? "load" : "unload",
          model: model.name,
          ...(loaded && { ms: Math.round(milliseconds) }),
        });
      },
      onFailure: (model: ServedModel, error: unknown) => {
        log({ event: "error", model: model.name, message: shortly(error) });
      },
      onPasses: (model: ServedModel, passes: Passes) => this.#metrics.passed(model, passes),
    };
    this.#models = new Models(models.map((one) => new ServedModel(one, keep)), strictNames);
    this.#metrics = new Metrics(this.#models.all);
    this.#limits = { truncate, maxBatchSize, maxBody, timeout, end: this.#end.signal };
    this.#routes = new Routes(this.#run);
    addOpenAI(this.#routes, this.#models);
    addRerank(this.#routes, this.#models);
    addTei(this.#routes, this.#models, this.#limits);
    addOllama(this.#routes, this.#models, (message) => log({ event: "note", message }));
    addOperations(this.#routes, this.#metrics, () => this.#isReady());
  }

  async answer(asked: Asked): Promise<Answer> {
    const url = URL.parse(asked.url, "http://localhost"); // without a Host it is a path alone
    const path = url?.pathname ?? "";
    let headers: Record<string, string> = {};
    try {
      if (url === null) throw new Problem("invalid", "Cannot read the request: its Host and path make no URL");
      const preflight = this.#guard.preflight(asked);
      if (preflight) return preflight;
      headers = this.#guard.admit(asked);
      this.#guard.checkKey(asked, path);
      if (!this.#routes.methods(path).includes(asked.method)) throw this.#unrouted(asked.method, path);
      const answer = withHeaders(await this.#routed(asked, url), headers);
      return asked.method === "HEAD" ? answer.head : answer;
    } catch (error) {
      return withHeaders(this.#refused(asked, path, error), headers);
    }
  }

  async #routed(asked: Asked, url: URL): Promise<Answer> {
    const running = this.#routes.answer(asked, url);
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
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
  readonly #run: Run = async (asked, route, family, handle) => {
    const exchange = new Exchange(asked, route, family, this.#limits);
    const id = requestId(asked);
    const { maxBody, end } = this.#limits;
    const read = (): Promise<Body> => readBody(asked, maxBody, exchange.family === "ollama", end);
    let answer: Answer;
    let failure: Problem | undefined;
    try {
      answer = await handle(exchange, read);
    } catch (error) {
      // Nobody reads the answer to a client that has gone: 499 is what nginx logs.
      const gone = error instanceof Gone;
      failure = gone ? new Problem("unavailable", "the client has gone") : problemOf(error);
      this.#logFault(failure, error, id, route);
      answer = gone ? new Answer(null, {}, 499) : problemAnswer(failure, exchange.family);
    }
    this.#metrics.ended(exchange, answer.status);
    if (!QUIET.includes(route)) this.#log(entryOf(exchange, id, answer.status, failure?.kind));
    return withHeaders(answer, { "x-request-id": id });
  };

  #unrouted(method: string, path: string): Problem {
    const allow = this.#routes.methods(path).join(", ");
    if (allow !== "") {
      return new Problem("method_not_allowed", `Cannot ${method.slice(0, 20)} this: it takes ${allow}`, { allow });
    }
    const near = nearTo(path).find((one) => this.#routes.methods(one).length > 0);
    return noRoute(near);
  }

  /** Logs what is the server's own trouble: its answer says no more than that the log does. */
  #logFault({ kind }: Problem, error: unknown, id: string, route: string): void {
    if (kind !== "internal" && kind !== "no_memory") return;
    this.#log({ event: "error", id, route, message: shortly(error) });
  }

  /** Counts, logs and answers a request that reaches no route. */
  #refused(asked: Asked, path: string, error: unknown): Answer {
    const problem = problemOf(error);
    const id = requestId(asked);
    const known = this.#routes.methods(path).length > 0 ? path : "unknown";
    const route = known.startsWith("/v1/models/") ? "/v1/models/{id}" : known;
    const answer = problemAnswer(problem, familyOf(path));
    const exchange = new Exchange(asked, route, familyOf(path), this.#limits);
    this.#logFault(problem, error, id, route);
    this.#metrics.ended(exchange, answer.status);
    this.#log(entryOf(exchange, id, answer.status, problem.kind));
    return withHeaders(answer, { "x-request-id": id });
  }
}

/** What a path may be meant to be: a base URL is often given without its /v1, with one too many, or with a final slash. */
function nearTo(path: string): string[] {
  const plain = `/${path.slice(0, 200).split("/").filter((part) => part !== "").join("/")}`;
  const bare = plain.replace(/^(\/v1)+(?=\/)/, "");
  return [plain, `/v1${bare}`, bare].filter((one) => !one.startsWith("/v1/models/"));
}

const QUIET: readonly string[] = ["/healthz", "/readyz", "/metrics", "/health"];

/** The request's own id, if it is one that a log can have, else a new one. */
function requestId({ headers }: Asked): string {
  const given = headers.get("x-request-id");
  return given !== null && /^[\w.:-]{1,128}$/.test(given) ? given : randomUUID();
}

function withHeaders(answer: Answer, headers: Record<string, string>): Answer {
  Object.assign(answer.headers, headers);
  return answer;
}

function shortly(error: unknown): string {
  return error instanceof Error
    ? `${error.name}: ${error.message.slice(0, 500)}`
    : "something was thrown that is no error";
}
