// Searches llama.cpp's own documentation: the best 100 paragraphs by embedding, those again by a cross-encoder.
// permissions: --allow-ffi --allow-read --allow-env
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { Llama, ModelNotFoundError, topK } from "@llamasaur/llamasaur";

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

await using embedder = await Llama.load("all-minilm-l6-v2", { contextSize: 128 });
const start = performance.now();
const vectors = await embedder.embed(paragraphs.map(({ text }) => text));
const near = topK(await embedder.embed(query), vectors, 100).map(({ index }) => paragraphs[index]!);
console.log(
  `${paragraphs.length} paragraphs in ${((performance.now() - start) / 1000).toFixed(1)} s, ${near.length} kept`,
);

// `scripts/download_models.sh bge-reranker` gets one; without it the same vectors rank again.
await using crossEncoder = await Llama.load("bge-reranker-base").catch((error) => {
  if (!(error instanceof ModelNotFoundError)) throw error;
  console.log("not on this machine: bge-reranker-base");
  return undefined;
});
const reranker = crossEncoder ?? embedder;
console.log(`reranker: ${reranker.info.reranker}\nquery: ${query}`);
for (const { score, document } of await reranker.rerank(query, near, { topN: 3, text: ({ text }) => text })) {
  console.log(`${score.toFixed(4)}  ${document.file}: ${document.text.replaceAll(/\s+/g, " ").slice(0, 90)}`);
}
