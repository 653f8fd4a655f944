// Embeds the texts given as arguments and prints each one's tokens and the first numbers of its vector.
import process from "node:process";
import { fileURLToPath } from "node:url";
import { Llama } from "@llamasaur/llamasaur";

const model = fileURLToPath(new URL("../models/all-minilm-l6-v2-q8_0.gguf", import.meta.url));
const texts = process.argv.length > 2 ? process.argv.slice(2) : ["hello world", "Grüße aus dem Süden"];

await using llama = await Llama.load(model);
const { architecture, quantization, dimensions, maxTokens, pooling } = llama.info;
console.log(
  `model: ${architecture} ${quantization}, ${dimensions} dimensions, ${maxTokens} tokens, ${pooling} pooling`,
);

for (const [i, { embedding, tokens, truncated }] of (await llama.embedDetailed(texts)).entries()) {
  const first = Array.from(embedding.subarray(0, 4), (x) => x.toFixed(4)).join(" ");
  console.log(`${first} … tokens=${tokens}${truncated ? " truncated" : ""} text=${texts[i]}`);
}
