// Ranks documents with a cross-encoder: the catalogue's where it is on this machine, else a tiny one of random weights.
// permissions: --allow-ffi --allow-read --allow-write --allow-env
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { Llama, ModelNotFoundError } from "@llamasaur/llamasaur";
import { convert } from "@llamasaur/llamasaur/convert";

const query = "how do I keep memory safe without a garbage collector";
const documents = [
  "Rust's ownership rules let the compiler free memory at the right moment.",
  "A garbage collector finds memory that nothing refers to any more.",
  "Keep your memory fit: sleep well and take walks.",
];

/** Loads the first model that is on this machine; with `download: true` it would get the first. */
async function loadFirst([name, ...others]: string[]): Promise<Llama> {
  if (name === undefined) return await loadRandom();
  try {
    return await Llama.load(name);
  } catch (error) {
    if (!(error instanceof ModelNotFoundError)) throw error;
    return await loadFirst(others);
  }
}

async function loadRandom(): Promise<Llama> {
  console.log(
    "random weights: the order means nothing (scripts/download_models.sh ms-marco-minilm-l-6-v2 gets a model)",
  );
  const checkpoint = fileURLToPath(new URL("../tests/fixtures/tiny_cross_encoder", import.meta.url));
  const folder = mkdtempSync(join(tmpdir(), "llamasaur-example-"));
  try {
    await convert(checkpoint, join(folder, "tiny.gguf"));
    return await Llama.load(join(folder, "tiny.gguf"));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const named = process.argv.slice(2);
await using llama = await loadFirst(named.length > 0 ? named : ["ms-marco-minilm-l-6-v2", "bge-reranker-base"]);
console.log(`reranker: ${llama.info.reranker}`);
for (const { score, document } of await llama.rerank(query, documents)) console.log(`${score.toFixed(4)}  ${document}`);
