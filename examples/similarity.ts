// Prints how similar each two of some sentences are, by the cosine of their vectors.
import { fileURLToPath } from "node:url";
import { cosineSimilarity, Llama, topK } from "@llamasaur/llamasaur";

const model = fileURLToPath(new URL("../models/all-minilm-l6-v2-q8_0.gguf", import.meta.url));
const sentences = ["The cat sleeps on the sofa.", "A kitten naps on the couch.", "Interest rates rose again."];

await using llama = await Llama.load(model);
const vectors = await llama.embed(sentences);

for (const [i, a] of vectors.entries()) {
  console.log(vectors.map((b) => cosineSimilarity(a, b).toFixed(2).padStart(6)).join(""), ` ${sentences[i]}`);
}

const query = "feline";
const [best] = topK(await llama.embed(query), vectors, 1);
console.log(`nearest to "${query}": ${sentences[best!.index]}`);
