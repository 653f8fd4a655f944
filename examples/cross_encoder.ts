// Ranks documents with a cross-encoder where one is there, else by cosine; says which.
import process from "node:process";
import { fileURLToPath } from "node:url";
import { Llama, ModelNotFoundError } from "@llamasaur/llamasaur";

const query = "how do I keep memory safe without a garbage collector";
const documents = [
  "Rust's ownership rules let the compiler free memory at the right moment.",
  "A garbage collector finds memory that nothing refers to any more.",
  "Keep your memory fit: sleep well and take walks.",
];

const models = ["ms-marco-minilm-l-6-v2-f32.gguf", "bge-reranker-base-q8_0.gguf", "all-minilm-l6-v2-q8_0.gguf"]
  .map((name) => fileURLToPath(new URL(`../models/${name}`, import.meta.url)));

async function loadFirst([path, ...others]: string[]): Promise<Llama> {
  try {
    return await Llama.load(path!);
  } catch (error) {
    if (others.length === 0 || !(error instanceof ModelNotFoundError)) throw error;
    console.log(`not here: ${path!.split("/").at(-1)}`);
    return await loadFirst(others);
  }
}

await using llama = await loadFirst(process.argv.length > 2 ? process.argv.slice(2) : models);
console.log(`reranker: ${llama.info.reranker}`);
for (const { score, document } of await llama.rerank(query, documents)) console.log(`${score.toFixed(4)}  ${document}`);
