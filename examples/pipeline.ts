// Searches llama.cpp's own documentation: the best 100 paragraphs by embedding, those again by a cross-encoder.
// permissions: --allow-ffi --allow-read --allow-env=HOME,XDG_CACHE_HOME
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { Llama, topK } from "@llamasaur/llamasaur";

const query = process.argv[2] ?? "how do I make a model smaller without losing much quality";
const cache = process.env["XDG_CACHE_HOME"] || join(process.env["HOME"] ?? "", ".cache");
const sources = join(cache, "llamasaur", "source"); // where the build keeps llama.cpp
const tree = existsSync(sources) && readdirSync(sources).find((name) => /^llama\.cpp-v[^/]*-[0-9a-f]{12}$/.test(name));
if (!tree) throw new Error(`no llama.cpp in ${sources}: deno run -A build/mod.ts --clean gets it`);

const paragraphs = readdirSync(join(sources, tree), { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".md")).sort()
  .flatMap((file) => readFileSync(join(sources, tree, file), "utf8").split(/\n\s*\n/).map((text) => ({ file, text })))
  .filter(({ text }) => /^[A-Z][^|]{80,400}$/s.test(text)) // prose, no tables and code
  .slice(0, 1000);

const path = (name: string) => fileURLToPath(new URL(`../models/${name}`, import.meta.url));
await using embedder = await Llama.load(path("all-minilm-l6-v2-q8_0.gguf"), { contextSize: 128 });
const start = performance.now();
const vectors = await embedder.embed(paragraphs.map(({ text }) => text));
const near = topK(await embedder.embed(query), vectors, 100).map(({ index }) => paragraphs[index]!);
console.log(
  `${paragraphs.length} paragraphs in ${((performance.now() - start) / 1000).toFixed(1)} s, ${near.length} kept`,
);

const crossEncoder = ["ms-marco-minilm-l-6-v2-f32.gguf", "bge-reranker-base-q8_0.gguf"].map(path).find(existsSync);
if (!crossEncoder) console.log("no cross-encoder in models/: ranked by the same vectors again");
await using loaded = crossEncoder ? await Llama.load(crossEncoder) : undefined;
const reranker = loaded ?? embedder;
console.log(`reranker: ${reranker.info.reranker}\nquery: ${query}`);
for (const { score, document } of await reranker.rerank(query, near, { topN: 3, text: ({ text }) => text })) {
  console.log(`${score.toFixed(4)}  ${document.file}: ${document.text.replaceAll(/\s+/g, " ").slice(0, 90)}`);
}
