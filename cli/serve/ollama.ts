/** Serves Ollama's routes for embeddings and models; its chat routes say that no model chats. */
import { z } from "@hono/zod-openapi";
import { Answer } from "./answer.ts";
import { embed, type Embedded } from "./embedding.ts";
import type { Exchange } from "./exchange.ts";
import type { Choice, Models } from "./models.ts";
import { Problem } from "./problem.ts";
import { listOf, type Routes, TEXTS } from "./routes.ts";
import type { ServedModel } from "./served_model.ts";
import { vectorsAnswer } from "./vectors.ts";

/** The version of Ollama whose routes these are: clients ask for it before they use a feature. */
const OLLAMA = "0.13.0";

const BODY = z.object({
  model: z.string().optional(),
  input: TEXTS,
  truncate: z.boolean().optional(),
  dimensions: z.int().min(1).optional(),
  keep_alive: z.unknown().optional(),
  options: z.unknown().optional(),
}).openapi("OllamaEmbedRequest");

const OLD_BODY = z.object({
  model: z.string().optional(),
  prompt: z.string(),
  keep_alive: z.unknown().optional(),
  options: z.unknown().optional(),
}).openapi("OllamaEmbeddingsRequest");

const SHOW = z.object({ model: z.string().optional(), name: z.string().optional() }).openapi("OllamaShowRequest");
const CHAT = z.object({ model: z.string().optional(), name: z.string().optional() });

const ANSWER = z.looseObject({ model: z.string(), embeddings: z.array(z.array(z.number())) });
const LIST = z.object({ models: z.array(z.looseObject({ name: z.string() })) });

/** Adds the routes. */
export function addOllama(routes: Routes, models: Models, onNote: (message: string) => void): void {
  const family = "ollama";
  let noted = false;
  const note = (body: { readonly keep_alive?: unknown; readonly options?: unknown }): void => {
    if (noted || body.keep_alive === undefined && body.options === undefined) return;
    noted = true;
    onNote(
      "keep_alive and options of a request have no effect: the server is shared; --keep-alive is for all (told once)",
    );
  };
  routes.post({
    path: "/api/embed",
    summary: "Vectors of texts, as Ollama gives them",
    family,
    body: BODY,
    answer: ANSWER,
    handle: (exchange, body) => {
      note(body);
      return answer(exchange, models.choose("embed", body.model), body);
    },
  });
  routes.post({
    path: "/api/embeddings",
    summary: "The vector of a text, as Ollama gave it before",
    family,
    body: OLD_BODY,
    answer: z.object({ embedding: z.array(z.number()) }),
    handle: async (exchange, body) => {
      note(body);
      const embedded = await embed(exchange, models.choose("embed", body.model), {
        texts: [body.prompt],
        nameOf: () => "prompt",
      });
      return vectorsAnswer(
        embedded,
        "float",
        { before: '{"embedding":', open: () => "", close: "", after: "}" },
        embedded.headers,
      );
    },
  });
  addLists(routes, models);
  for (const path of ["/api/chat", "/api/generate"]) {
    const what = path.slice("/api/".length);
    const handle = (_: Exchange, body: z.output<typeof CHAT>): Promise<Answer> => {
      throw new Problem(
        "invalid",
        `${JSON.stringify((body.model ?? body.name ?? "").slice(0, 100))} does not support ${what}`,
      );
    };
    routes.post({ path, summary: "", family, body: CHAT, answer: z.unknown(), hidden: true, handle });
  }
}

function addLists(routes: Routes, models: Models): void {
  const family = "ollama";
  routes.post({
    path: "/api/show",
    summary: "A model, as Ollama shows it",
    family,
    body: SHOW,
    answer: z.looseObject({}),
    handle: (_, { model, name }) => {
      const found = models.find(model ?? name ?? "") ?? models.choose("embed", model ?? name).model;
      return Promise.resolve(Answer.json(show(found)));
    },
  });
  routes.get({
    path: "/api/tags",
    summary: "The models that embed, as Ollama lists them",
    family,
    answer: LIST,
    handle: () => Answer.json({ models: models.of("embed").map(entryOf) }),
  });
  routes.get({
    path: "/api/ps",
    summary: "The models that are loaded, as Ollama lists them",
    family,
    answer: LIST,
    handle: () => {
      const loaded = models.of("embed").filter((model) => model.loaded !== undefined);
      return Answer.json({
        models: loaded.map((model) => ({
          ...entryOf(model),
          expires_at: "2318-01-01T00:00:00Z", // Ollama's word for never
          size_vram: 0,
          context_length: model.known?.info.maxTokens ?? 0,
        })),
      });
    },
  });
  routes.get({
    path: "/api/version",
    summary: "The version of Ollama whose routes these are",
    family,
    answer: z.object({ version: z.string() }),
    handle: () => Answer.json({ version: OLLAMA }),
  });
  routes.get({
    path: "/",
    summary: "A word that something is here",
    family,
    answer: z.string(),
    text: true,
    handle: () => new Answer("llamasaur is running", { "content-type": "text/plain; charset=utf-8" }),
  });
}

async function answer(exchange: Exchange, choice: Choice, body: z.output<typeof BODY>): Promise<Answer> {
  const embedded: Embedded = await embed(exchange, choice, {
    texts: listOf(body.input),
    nameOf: (index) => `input[${index}]`,
    truncate: body.truncate,
    dimensions: body.dimensions,
  });
  const total = Math.round((performance.now() - exchange.start) * 1e6);
  const load = Math.round(exchange.loading * 1e6);
  return vectorsAnswer(embedded, "float", {
    before: `{"model":${JSON.stringify(choice.name)},"embeddings":[`,
    open: () => "",
    close: "",
    after: `],"total_duration":${total},"load_duration":${load},"prompt_eval_count":${embedded.tokens}}`,
  }, embedded.headers);
}

function detailsOf(model: ServedModel): Record<string, unknown> {
  const info = model.known?.info;
  const family = info?.architecture ?? "unknown";
  return {
    parent_model: "",
    format: "gguf",
    family,
    families: [family],
    parameter_size: info ? `${(info.parameters / 1e6).toFixed(1)}M` : "",
    quantization_level: info?.quantization ?? "",
  };
}

function entryOf(model: ServedModel): Record<string, unknown> {
  return {
    name: model.name,
    model: model.name,
    modified_at: "1970-01-01T00:00:00Z",
    size: model.known?.info.size ?? 0,
    digest: model.known?.fingerprint ?? "",
    details: detailsOf(model),
  };
}

function show(model: ServedModel): Record<string, unknown> {
  const info = model.known?.info;
  const architecture = info?.architecture ?? "unknown";
  return {
    modelfile: "",
    parameters: "",
    template: "",
    details: detailsOf(model),
    model_info: {
      "general.architecture": architecture,
      "general.parameter_count": info?.parameters ?? 0,
      [`${architecture}.context_length`]: info?.maxTokens ?? 0,
      [`${architecture}.embedding_length`]: model.options.dimensions ?? info?.dimensions ?? 0,
    },
    capabilities: model.role === "embed" ? ["embedding"] : [],
    modified_at: "1970-01-01T00:00:00Z",
  };
}
