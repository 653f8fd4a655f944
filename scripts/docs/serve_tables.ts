// Makes the tables of docs/server.md from the program: the options of `llamasaur serve`, and its errors by family.
import { type Family, type Kind, KINDS, Problem, problemAnswer } from "../../cli/serve/problem.ts";
import { verb } from "../../cli/verbs/serve.ts";

const FAMILIES: readonly Family[] = ["openai", "rerank", "tei", "ollama"];

/** What each kind of trouble is. */
const WORDS: Readonly<Record<Kind, string>> = {
  invalid: "a field is wrong, the body is no JSON, a prompt is not known",
  unauthorized: "no key, or a wrong one",
  forbidden: "a Host or an Origin that is not allowed",
  model_not_found: "no model of that name",
  wrong_model: "the name, or the only model, is of the other role",
  too_long: "a text above the model's limit where nothing may be cut",
  batch_too_large: "more texts than `--max-batch-size`",
  not_found: "no such route",
  method_not_allowed: "another method than the route has",
  payload_too_large: "a body above `--max-body`",
  unsupported_media_type: "a compressed body, or a content type that is not JSON (Ollama's routes take any)",
  overloaded: "the queue is full; `retry-after` says when to come again",
  unavailable: "`--timeout` is over, or the server is closing",
  no_memory: "the machine has not enough memory now; the log says more",
  internal: "the model failed; the log says more",
};

/** Rows: option, variable, what it does. */
export function serveOptions(): string[][] {
  return verb.options.map(({ flags, description, env, choices }) => [
    `\`${flags}\``,
    env === undefined ? "" : `\`${env}\``,
    choices === undefined ? description : `${description}; ${choices.join(", ")}`,
  ]);
}

/** Rows: what is wrong, and the status in each family. */
export function serveErrors(): string[][] {
  return KINDS.map((kind) => [
    WORDS[kind],
    ...FAMILIES.map((family) => String(problemAnswer(new Problem(kind, ""), family).status)),
  ]);
}
