/** Serves reranking in the shapes of Jina, Cohere, vLLM and LiteLLM, and in that of text-embeddings-inference. */
import { randomUUID } from "node:crypto";
import { z } from "@hono/zod-openapi";
import { truncateOf } from "./embedding.ts";
import type { Exchange } from "./exchange.ts";
import type { Answer } from "./answer.ts";
import type { Models } from "./models.ts";
import { Problem } from "./problem.ts";
import { rank, type Ranking } from "./ranking.ts";
import { parse as check, type Routes } from "./routes.ts";
import { listed, piecewise } from "./slices.ts";
import { directionOf } from "./tei.ts";

const DOCUMENT = z.union([z.string(), z.record(z.string(), z.unknown())], {
  error: "it must be a string or an object with text",
});

const BODY = z.object({
  query: z.string(),
  documents: z.array(DOCUMENT).min(1, { error: "it is empty: give at least one document" }),
  model: z.string().optional(),
  top_n: z.int().min(0).optional(),
  top_k: z.int().min(0).optional(),
  return_documents: z.boolean().optional(),
  rank_fields: z.array(z.string()).min(1).optional(),
  instruction: z.string().optional(),
  raw_scores: z.boolean().optional(),
  truncate: z.boolean().optional(),
  truncation: z.boolean().optional(),
}).openapi("RerankRequest");

const TEI_BODY = z.object({
  query: z.string(),
  texts: z.array(z.string()).min(1, { error: "it is empty: give at least one text" }),
  raw_scores: z.boolean().optional(),
  return_text: z.boolean().optional(),
  truncate: z.boolean().optional(),
  truncation_direction: z.enum(["Left", "Right", "left", "right"]).optional(),
}).openapi("TeiRerankRequest");

const RESULTS = z.array(
  z.object({
    index: z.int(),
    relevance_score: z.number(),
    document: z.record(z.string(), z.unknown()).optional(),
  }),
);
const ANSWER = z.looseObject({ id: z.string(), results: RESULTS, data: RESULTS.optional() }).openapi("RerankResponse");
const TEI_ANSWER = z.array(z.object({ index: z.int(), score: z.number(), text: z.string().optional() }));

// The body chooses its shape by having `texts`, so it is checked when that is known.
const EITHER: z.ZodType<Record<string, unknown>> = z.record(z.string(), z.unknown())
  .openapi({
    anyOf: [{ $ref: "#/components/schemas/RerankRequest" }, { $ref: "#/components/schemas/TeiRerankRequest" }],
  });

/** Adds the routes. */
export function addRerank(routes: Routes, models: Models): void {
  for (const schema of [BODY, TEI_BODY]) {
    routes.app.openAPIRegistry.register(schema === BODY ? "RerankRequest" : "TeiRerankRequest", schema);
  }
  for (const path of ["/v1/rerank", "/v2/rerank", "/rerank"]) {
    routes.post({
      path,
      summary: "Documents by how well they answer a query",
      family: "rerank",
      body: EITHER,
      answer: z.union([ANSWER, TEI_ANSWER]),
      handle: (exchange, body) => {
        return "texts" in body
          ? answerTei(exchange, models, check(TEI_BODY, body))
          : answer(exchange, models, check(BODY, body));
      },
    });
  }
}

async function answer(exchange: Exchange, models: Models, body: z.output<typeof BODY>): Promise<Answer> {
  const choice = models.choose("rerank", body.model);
  const documents = body.documents.map((document, i) => textOf(document, i, body.rank_fields));
  const ranking = await rank(exchange, choice, {
    query: body.query,
    documents,
    nameOf: (index) => `documents[${index}]`,
    instruction: body.instruction,
    truncate: truncateOf({ truncate: body.truncate ?? body.truncation }, exchange.truncate),
  });
  const { tokens, headers } = ranking;
  const wanted = body.top_n ?? body.top_k ?? Infinity;
  const returned = body.return_documents === true && exchange.route !== "/v2/rerank";
  const results = ranking.ranked.slice(0, wanted).map(({ index, score, logit }) => ({
    index,
    relevance_score: body.raw_scores ? logit : score,
    ...(returned && { document: objectOf(body.documents[index]!) }),
  }));
  const head = JSON.stringify({
    id: randomUUID(),
    object: "list",
    model: choice.name,
    usage: { prompt_tokens: tokens, total_tokens: tokens },
    meta: { api_version: { version: "2" }, billed_units: { search_units: 1 }, tokens: { input_tokens: tokens } },
  });
  // Voyage's clients alone send truncation, always, and read the results as data.
  return piecewise(piecesOf(head, ["results", ...(body.truncation === undefined ? [] : ["data"])], results), headers);
}

/** An object with a list by each of the names behind its own fields. */
function* piecesOf(head: string, names: readonly string[], results: readonly unknown[]): Generator<string> {
  yield head.slice(0, -1);
  for (const name of names) {
    yield `,"${name}":`;
    yield* listed(results);
  }
  yield "}";
}

async function answerTei(exchange: Exchange, models: Models, body: z.output<typeof TEI_BODY>): Promise<Answer> {
  const choice = models.choose("rerank", undefined, false);
  const direction = directionOf(body.truncation_direction);
  const { ranked, headers }: Ranking = await rank(exchange, choice, {
    query: body.query,
    documents: body.texts,
    nameOf: (index) => `texts[${index}]`,
    truncate: truncateOf({ truncate: body.truncate, direction }, exchange.truncate),
  });
  const results = ranked.map(({ index, score, logit, document }) => ({
    index,
    score: body.raw_scores ? logit : score,
    ...(body.return_text && { text: document }),
  }));
  return piecewise(listed(results), headers);
}

/** The text of a document: itself, its `text`, or its fields as lines of YAML, which Cohere advises. */
function textOf(document: z.output<typeof DOCUMENT>, index: number, fields: readonly string[] | undefined): string {
  if (typeof document === "string") return document;
  if (fields === undefined) {
    if (typeof document["text"] === "string") return document["text"];
    throw new Problem("invalid", `Cannot read documents[${index}]: it has no text; give one, or rank_fields`, {
      field: "documents",
    });
  }
  const given = new Map(Object.entries(document).filter(([, value]) => value !== undefined && value !== null));
  const lines = fields.filter((field) => given.has(field)).map((field) => {
    const value = given.get(field);
    return `${field}: ${typeof value === "string" ? value : JSON.stringify(value)}`;
  });
  if (lines.length > 0) return lines.join("\n");
  throw new Problem("invalid", `Cannot read documents[${index}]: it has none of rank_fields`, { field: "rank_fields" });
}

function objectOf(document: z.output<typeof DOCUMENT>): Record<string, unknown> {
  return typeof document === "string" ? { text: document } : document;
}
