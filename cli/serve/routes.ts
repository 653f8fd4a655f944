/** Registers routes: each with one schema that checks its body, types it and describes it in /openapi.json. */
import { OpenAPIHono, z } from "@hono/zod-openapi";
import type { Body } from "./body.ts";
import type { Exchange } from "./exchange.ts";
import type { Answer } from "./answer.ts";
import type { Asked } from "./asked.ts";
import { type Family, Problem } from "./problem.ts";
import { kindOf, wordsOf } from "./words.ts";

/** A route with a body. */
export interface Post<Schema extends z.ZodType> {
  readonly path: string;
  readonly summary: string;
  readonly family: Family;
  readonly body: Schema;
  readonly answer: z.ZodType;
  /** Whether /openapi.json is silent of it. */
  readonly hidden?: boolean;
  readonly handle: (exchange: Exchange, body: z.output<Schema>) => Promise<Answer>;
}

/** A route without a body. */
export interface Get {
  readonly path: string;
  readonly summary: string;
  readonly family: Family;
  readonly answer: z.ZodType;
  readonly hidden?: boolean;
  readonly parameter?: string;
  readonly text?: boolean;
  readonly handle: (exchange: Exchange, parameter: string) => Promise<Answer> | Answer;
}

/** How a request reaches its route. */
export type Run = (
  asked: Asked,
  route: string,
  family: Family,
  handle: (exchange: Exchange, read: () => Promise<Body>) => Promise<Answer> | Answer,
) => Promise<Answer>;

/** What goes through Hono beside the method and the URL, which are all that it routes by. */
interface Turn {
  readonly asked: Asked;
  answer?: Answer;
}

/** What Hono gets in place of an answer, which is in the turn: it would make a `Response` of each. */
const ANSWERED = new Response(null);

/** What a path that leads nowhere is told, and which one may be meant. */
export function noRoute(near?: string): Problem {
  const hint = near === undefined ? "" : `do you mean ${near}? `;
  return new Problem("not_found", `Cannot find this route: ${hint}/openapi.json lists what there is`);
}

/** The routes of a server. */
export class Routes {
  readonly app: OpenAPIHono<{ Bindings: Turn }> = new OpenAPIHono({ strict: true });
  readonly #run: Run;
  readonly #methods = new Map<string, string[]>();

  constructor(run: Run) {
    this.#run = run;
  }

  /** Adds a route with a body. */
  post<Schema extends z.ZodType>({ path, family, body, handle, ...about }: Post<Schema>): void {
    this.#describe("post", path, about, body);
    const hasShapes = path.endsWith("/rerank");
    this.app.post(path, async ({ env }) => {
      env.answer = await this.#run(env.asked, path, family, async (exchange, read) => {
        const given = await read();
        if (hasShapes && "texts" in given) exchange.family = "tei";
        return await handle(exchange, parse(body, given));
      });
      return ANSWERED;
    });
  }

  /** Adds a route without a body. */
  get({ path, family, parameter, handle, ...about }: Get): void {
    this.#describe("get", path, about, undefined, parameter);
    const pattern = parameter === undefined ? path : path.replace(`{${parameter}}`, `:${parameter}{[^]+}`); // any name, also one with a line's end
    this.app.get(pattern, async ({ env, req }) => {
      const given = parameter === undefined ? "" : req.param(parameter)!;
      env.answer = await this.#run(env.asked, path, family, (exchange) => handle(exchange, given));
      return ANSWERED;
    });
  }

  /**
   * Answers a request whose path has the method.
   *
   * @throws {Problem} `not_found` when the router reads the path in another way than `methods`.
   */
  async answer(asked: Asked, url: URL): Promise<Answer> {
    const turn: Turn = { asked };
    await this.app.fetch({ method: asked.method, url: url.href } as Request, turn);
    if (turn.answer === undefined) throw noRoute();
    return turn.answer;
  }

  /** The methods of a path. */
  methods(path: string): readonly string[] {
    const exact = this.#methods.get(path);
    if (exact !== undefined) return exact;
    for (const [known, methods] of this.#methods) {
      const open = known.indexOf("{");
      if (open > 0 && path.startsWith(known.slice(0, open)) && path.length > open) return methods;
    }
    return [];
  }

  #describe(
    method: "get" | "post",
    path: string,
    { summary, answer, hidden, text }: { summary: string; answer: z.ZodType; hidden?: boolean; text?: boolean },
    body?: z.ZodType,
    parameter?: string,
  ): void {
    const both = method === "get" ? ["GET", "HEAD"] : ["POST"];
    this.#methods.set(path, [...this.#methods.get(path) ?? [], ...both]);
    if (hidden) return;
    const type = text ? "text/plain" : "application/json";
    this.app.openAPIRegistry.registerPath({
      method,
      path,
      summary,
      request: {
        ...(body && { body: { required: true, content: { "application/json": { schema: body } } } }),
        ...(parameter && { params: z.object({ [parameter]: z.string() }) }),
      },
      responses: {
        200: { description: "The answer", content: { [type]: { schema: answer } } },
        default: { description: "What is wrong", content: { "application/json": { schema: z.looseObject({}) } } },
      },
    });
  }
}

/** Checks a body. */
export function parse<Schema extends z.ZodType>(schema: Schema, body: Body): z.output<Schema> {
  const { success, data, error } = schema.safeParse(body, { error: wordsOf });
  if (success) return data;
  const { path, message } = error.issues[0]!;
  const field = path.map((part, i) => typeof part === "number" ? `[${part}]` : `${i > 0 ? "." : ""}${String(part)}`)
    .join("");
  throw new Problem("invalid", `Cannot read ${field || "the body"}: ${message}`, { field });
}

/** What is wrong with texts; lists of token ids get their own words. */
export function wrongTexts(value: unknown): string {
  const list = Array.isArray(value) ? value : [value];
  if (value === undefined) return "it is missing: give a string or an array of strings";
  if (list.length === 0) return NOTHING;
  if (Array.isArray(value) && list.every((one) => typeof one === "number" || Array.isArray(one))) return TOKEN_IDS;
  const at = list.findIndex((one) => typeof one !== "string");
  return `it must be a string or an array of strings${
    Array.isArray(value) ? `, item ${at} is ${kindOf(list[at])}` : ""
  }`;
}

const NOTHING = "it is empty: give at least one text";
const TOKEN_IDS =
  "it is a list of token ids, and those are of another model's vocabulary: they would be embedded as other " +
  "words than were meant. Send texts: in LangChain for Python set check_embedding_ctx_length=False, in LibreChat's RAG API " +
  "set RAG_CHECK_EMBEDDING_CTX_LENGTH=False";

/** A text, or texts. */
export const TEXTS: z.ZodType<string | string[]> = z.union(
  [z.string(), z.array(z.string()).min(1, { error: NOTHING })],
  {
    error: ({ input }) => wrongTexts(input),
  },
);

/** A list of texts from what may be one. */
export function listOf(texts: string | readonly string[]): readonly string[] {
  return typeof texts === "string" ? [texts] : texts;
}
