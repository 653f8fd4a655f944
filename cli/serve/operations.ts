/** Serves what operators ask: alive, ready, metrics, and the description of all routes. */
import { z } from "@hono/zod-openapi";
import { VERSION } from "../version.ts";
import { Answer } from "./answer.ts";
import type { Metrics } from "./metrics.ts";
import type { Routes } from "./routes.ts";

const STATE = z.object({ status: z.string() });

/** Adds the routes. */
export function addOperations(routes: Routes, metrics: Metrics, isReady: () => Promise<boolean>): void {
  routes.get({
    path: "/healthz",
    summary: "Whether the process lives",
    family: "openai",
    answer: STATE,
    handle: () => Answer.json({ status: "ok" }),
  });
  routes.get({
    path: "/readyz",
    summary: "Whether models are loaded and answer; 503 while they load and while the server drains",
    family: "openai",
    answer: STATE,
    handle: async () => {
      const ready = await isReady();
      return Answer.json({ status: ready ? "ready" : "not ready" }, {}, ready ? 200 : 503);
    },
  });
  routes.get({
    path: "/metrics",
    summary: "Numbers for Prometheus",
    family: "openai",
    answer: z.string(),
    text: true,
    handle: () => metrics.answer(),
  });
  let description: unknown;
  routes.get({
    path: "/openapi.json",
    summary: "This description",
    family: "openai",
    answer: z.looseObject({}),
    handle: () =>
      Answer.json(
        description ??= routes.app.getOpenAPI31Document({
          openapi: "3.1.0",
          info: { title: "llamasaur", version: VERSION, description: "Embed and rerank text with GGUF models." },
        }),
      ),
  });
}
