// Ranks three documents by the dot product of their normalised vectors with a query's.
import process from "node:process";
import { fileURLToPath } from "node:url";
import { dot, Llama, ModelNotFoundError } from "@llamasaur/llamasaur";

const query = "safe systems programming language";
const documents = [
  "Rust is a memory-safe systems programming language.",
  "Paris is the capital city of France.",
  "Bananas are yellow fruit rich in potassium.",
];

// bge-small where `scripts/download_models.sh bge` could get it, else MiniLM.
const [bge, minilm] = ["bge-small-en-v1.5-q4_k_m.gguf", "all-minilm-l6-v2-q8_0.gguf"]
  .map((name) => fileURLToPath(new URL(`../models/${name}`, import.meta.url)));
const given = process.argv[2];

await using llama = await Llama.load(given ?? bge!).catch((error) => {
  if (given || !(error instanceof ModelNotFoundError)) throw error;
  return Llama.load(minilm!);
});

const wanted = await llama.embed(query);
const vectors = await llama.embed(documents);
const ranked = documents
  .map((document, i) => ({ document, score: dot(wanted, vectors[i]!) }))
  .sort((a, b) => b.score - a.score);

console.log(`query: ${query}`);
ranked.forEach(({ score, document }, i) =>
  console.log(`${`${i + 1}`.padStart(2)}. score=${score.toFixed(4)} document=${document}`)
);
