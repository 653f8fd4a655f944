/** Serves the routes of text-embeddings-inference; its rerank is told by its body (rerank.ts). */
import { z } from "@hono/zod-openapi";
import { VERSION } from "../version.ts";
import { Answer } from "./answer.ts";
import { embed } from "./embedding.ts";
import type { Exchange, Limits } from "./exchange.ts";
import type { InputType, Models } from "./models.ts";
import { Problem } from "./problem.ts";
import { listOf, type Routes, TEXTS } from "./routes.ts";
import { vectorsAnswer } from "./vectors.ts";

const BODY = z.object({
  inputs: TEXTS,
  truncate: z.boolean().optional(),
  truncation_direction: z.enum(["Left", "Right", "left", "right"]).optional(),
  prompt_name: z.string().optional(),
  normalize: z.boolean().optional(),
  dimensions: z.int().min(1).optional(),
}).openapi("EmbedRequest");

const ANSWER = z.array(z.array(z.number()));

/** What clients that split by the largest batch are told where there is none: they reckon with a number. */
const ANY_BATCH = 1024;

const TYPES: ReadonlyMap<string, InputType> = new Map([
  ["query", "query"],
  ["document", "document"],
  ["passage", "document"],
]);

/** Adds the routes. */
export function addTei(routes: Routes, models: Models, limits: Pick<Limits, "maxBatchSize" | "truncate">): void {
  // @huggingface/inference sends its texts to the very URL that it was given.
  for (const path of ["/embed", "/"]) {
    routes.post({
      path,
      summary: "Vectors of texts, as text-embeddings-inference gives them",
      family: "tei",
      body: BODY,
      answer: ANSWER,
      handle: (exchange, body) => answer(exchange, models, body),
    });
  }
  routes.get({
    path: "/info",
    summary: "The first model, as text-embeddings-inference tells of it",
    family: "tei",
    answer: z.looseObject({ model_id: z.string() }),
    handle: () => Answer.json(infoOf(models, limits)),
  });
  routes.get({
    path: "/health",
    summary: "Whether the process lives",
    family: "tei",
    answer: z.string(),
    text: true,
    handle: () => new Answer("", { "content-type": "text/plain" }),
  });
}

async function answer(exchange: Exchange, models: Models, body: z.output<typeof BODY>): Promise<Answer> {
  const choice = models.choose("embed", undefined, false);
  const embedded = await embed(exchange, choice, {
    texts: listOf(body.inputs),
    nameOf: (index) => `inputs[${index}]`,
    inputType: inputTypeOf(body.prompt_name),
    dimensions: body.dimensions,
    normalize: body.normalize,
    truncate: body.truncate,
    direction: directionOf(body.truncation_direction),
  });
  return vectorsAnswer(
    embedded,
    "float",
    { before: "[", open: () => "", close: "", after: "]" },
    embedded.headers,
  );
}

/** Which end of a long text is cut off, in our words. */
export function directionOf(given: string | undefined): "end" | "start" | undefined {
  return given === undefined ? undefined : given.toLowerCase() === "left" ? "start" : "end";
}

function inputTypeOf(name: string | undefined): InputType | undefined {
  if (name === undefined) return undefined;
  const type = TYPES.get(name);
  if (type !== undefined) return type;
  throw new Problem("invalid", 'Cannot read prompt_name: it must be "query" or "document"', { field: "prompt_name" });
}

function infoOf(
  models: Models,
  { maxBatchSize, truncate }: Pick<Limits, "maxBatchSize" | "truncate">,
): Record<string, unknown> {
  const model = models.all[0]!;
  const info = model.known?.info;
  return {
    model_id: model.name,
    model_sha: null,
    model_dtype: info?.quantization.toLowerCase() ?? null,
    model_type: model.role === "embed"
      ? { embedding: { pooling: info?.pooling ?? null } }
      : { reranker: { id2label: {} } },
    max_input_length: info?.maxTokens ?? null,
    max_client_batch_size: maxBatchSize ?? ANY_BATCH,
    auto_truncate: truncate !== "error",
    version: VERSION,
    fingerprint: info?.fingerprint ?? null,
  };
}
