/**
 * Serves embedding models and rerankers over HTTP, in the routes of OpenAI, Jina, Cohere and others.
 *
 * @example
 * ```ts ignore
 * import { createHandler } from "llamasaur/serve";
 *
 * const handler = createHandler([{ role: "embed", model: "all-minilm-l6-v2" }]);
 * await handler.ready();
 * Deno.serve({ port: 8411 }, handler.fetch);
 * ```
 *
 * @module
 */
export { createHandler, type Handler } from "./handler.ts";
export type { GuardOptions } from "./guard.ts";
export type { LogEntry } from "./log.ts";
export type { HandlerOptions } from "./options.ts";
export type { ModelOptions, Role } from "./served_model.ts";
