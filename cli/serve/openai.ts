/** Serves OpenAI's routes for embeddings and models, with the fields that Voyage and Jina have besides. */
import { z } from "@hono/zod-openapi";
import { Answer } from "./answer.ts";
import { embed } from "./embedding.ts";
import type { Exchange } from "./exchange.ts";
import type { InputType, Models } from "./models.ts";
import { Problem } from "./problem.ts";
import { listOf, type Routes, TEXTS } from "./routes.ts";
import type { ServedModel } from "./served_model.ts";
import { type Encoding, vectorsAnswer } from "./vectors.ts";

const ENCODINGS = 'it must be "float" or "base64"';

const BODY = z.object({
  input: TEXTS,
  model: z.string().optional(),
  dimensions: z.int().min(1).optional(),
  output_dimension: z.int().min(1).optional(),
  encoding_format: z.string().optional(),
  embedding_type: z.union([z.string(), z.array(z.string())], { error: ENCODINGS }).optional(),
  output_dtype: z.string().optional(),
  input_type: z.string().optional(),
  task: z.string().optional(),
  truncate: z.boolean().optional(),
  truncation: z.boolean().optional(),
  normalized: z.boolean().optional(),
  user: z.unknown().optional(),
}).openapi("EmbeddingsRequest");

const ANSWER = z.looseObject({
  object: z.literal("list"),
  data: z.array(
    z.object({
      object: z.literal("embedding"),
      index: z.int(),
      embedding: z.union([z.array(z.number()), z.string()]),
    }),
  ),
  model: z.string(),
  usage: z.object({ prompt_tokens: z.int(), total_tokens: z.int() }),
}).openapi("EmbeddingsResponse");

const MODEL = z.looseObject({
  id: z.string(),
  object: z.literal("model"),
  created: z.int(),
  owned_by: z.string(),
  role: z.enum(["embed", "rerank"]),
}).openapi("Model");

const TYPES: ReadonlyMap<string, InputType> = new Map([
  ["query", "query"],
  ["document", "document"],
  ["search_query", "query"],
  ["search_document", "document"],
  ["retrieval.query", "query"],
  ["retrieval.passage", "document"],
]);

/** Adds the routes. */
export function addOpenAI(routes: Routes, models: Models): void {
  routes.post({
    path: "/v1/embeddings",
    summary: "Vectors of texts",
    family: "openai",
    body: BODY,
    answer: ANSWER,
    handle: (exchange, body) => answer(exchange, models, body),
  });
  routes.get({
    path: "/v1/models",
    summary: "The models",
    family: "openai",
    answer: z.object({ object: z.literal("list"), data: z.array(MODEL) }),
    handle: () =>
      Answer.json({
        object: "list",
        data: models.all.flatMap((model) => model.choices.map((id) => ({ ...entryOf(model), id }))),
      }),
  });
  routes.get({
    path: "/v1/models/{id}",
    summary: "A model",
    family: "openai",
    parameter: "id",
    answer: MODEL,
    handle: (_, id) => {
      const model = models.find(id);
      if (model) return Answer.json({ ...entryOf(model), id });
      const names = models.all.map(({ name }) => name).join(", ");
      throw new Problem("model_not_found", `Cannot find this model: there is ${names}`, { field: "model" });
    },
  });
}

async function answer(exchange: Exchange, models: Models, body: z.output<typeof BODY>): Promise<Answer> {
  const choice = models.choose("embed", body.model);
  const encoding = encodingOf(body);
  const embedded = await embed(exchange, choice, {
    texts: listOf(body.input),
    nameOf: (index) => `input[${index}]`,
    inputType: inputTypeOf(body),
    dimensions: body.dimensions ?? body.output_dimension,
    normalize: body.normalized,
    truncate: body.truncate ?? body.truncation,
  });
  const usage = JSON.stringify({ prompt_tokens: embedded.tokens, total_tokens: embedded.tokens });
  return vectorsAnswer(embedded, encoding, {
    before: '{"object":"list","data":[',
    open: (index) => `{"object":"embedding","index":${index},"embedding":`,
    close: "}",
    after: `],"model":${JSON.stringify(choice.name)},"usage":${usage}}`,
  }, embedded.headers);
}

function encodingOf({ encoding_format, embedding_type, output_dtype }: z.output<typeof BODY>): Encoding {
  for (const [field, value] of Object.entries({ encoding_format, embedding_type, output_dtype })) {
    const [type, ...more] = [value].flat();
    if (type === undefined) continue;
    if ((type === "float" || type === "base64") && more.length === 0) {
      if (type === "base64") return type;
      continue;
    }
    throw new Problem("invalid", `Cannot read ${field}: ${ENCODINGS}`, { field });
  }
  return "float";
}

function inputTypeOf({ input_type, task }: z.output<typeof BODY>): InputType | undefined {
  for (const [field, value] of Object.entries({ input_type, task })) {
    if (value === undefined) continue;
    const type = TYPES.get(value);
    if (type !== undefined) return type;
    const wanted = field === "task" ? '"retrieval.query" or "retrieval.passage"' : '"query" or "document"';
    throw new Problem("invalid", `Cannot read ${field}: it must be ${wanted}`, { field });
  }
  return undefined;
}

function entryOf(model: ServedModel): Record<string, unknown> {
  const info = model.known?.info;
  return {
    id: model.name,
    object: "model",
    created: 0,
    owned_by: "llamasaur",
    role: model.role,
    ...(info && {
      fingerprint: info.fingerprint,
      ...(model.role === "embed" && { dimensions: model.options.dimensions ?? info.dimensions }),
      max_tokens: info.maxTokens,
    }),
  };
}
