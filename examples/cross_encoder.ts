// Ranks documents with a cross-encoder where one is there, else by cosine; says which.
// permissions: --allow-ffi --allow-read --allow-env
import process from "node:process";
import { Llama, ModelNotFoundError } from "@llamasaur/llamasaur";

const query = "how do I keep memory safe without a garbage collector";
const documents = [
  "Rust's ownership rules let the compiler free memory at the right moment.",
  "A garbage collector finds memory that nothing refers to any more.",
  "Keep your memory fit: sleep well and take walks.",
];

// The first that is on this machine; `scripts/download_models.sh NAME` gets one.
const models = process.argv.length > 2
  ? process.argv.slice(2)
  : ["ms-marco-minilm-l-6-v2", "bge-reranker-base", "all-minilm-l6-v2"];

async function loadFirst([name, ...others]: string[]): Promise<Llama> {
  try {
    return await Llama.load(name!);
  } catch (error) {
    if (others.length === 0 || !(error instanceof ModelNotFoundError)) throw error;
    console.log(`not on this machine: ${name}`);
    return await loadFirst(others);
  }
}

await using llama = await loadFirst(models);
console.log(`reranker: ${llama.info.reranker}`);
for (const { score, document } of await llama.rerank(query, documents)) console.log(`${score.toFixed(4)}  ${document}`);
