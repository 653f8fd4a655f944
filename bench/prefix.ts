// Measures what a causal reranker, by yes/no or with a head, gains by computing once what the pairs of a call begin with, by processor time.
//
//   deno run -A bench/prefix.ts MODEL [--documents 100] [--instruction 300] [--rounds 3]     (or with bun)
//
// MODEL is a causal model's GGUF file; the instruction is so many words. Rounds with and without take turns.
import { parseArgs } from "node:util";
import { loadEngine } from "../src/engine/load.ts";
import { rankDocuments } from "../src/rerank.ts";
import { median } from "./statistics.ts";

const { values, positionals: [model] } = parseArgs({
  allowPositionals: true,
  options: {
    documents: { type: "string", default: "100" },
    instruction: { type: "string", default: "300" },
    rounds: { type: "string", default: "3" },
  },
});
if (!model) throw new Error("usage: prefix.ts MODEL [--documents N] [--instruction WORDS] [--rounds N]");

const WORDS = "the a river city bread night small old green runs under over near light glass stone river wind".split(
  " ",
);
const words = (from: number, count: number): string =>
  Array.from({ length: count }, (_, i) => WORDS[(from * 7 + i * 5 + ((from * i) % 3)) % WORDS.length]).join(" ");
const documents = Array.from({ length: Number(values.documents) }, (_, i) => words(i, 8 + i % 17));
const instruction = words(3, Number(values.instruction));

const engine = await loadEngine(model, {});
if (!engine.sharesPrefix) throw new Error("this model's pairs share nothing");
const ways = { shared: engine, alone: { ...engine, sharesPrefix: false } };
const times: Record<string, number[]> = { shared: [], alone: [] };
const logits: Record<string, number[]> = {};
for (let round = 0; round <= Number(values.rounds); round++) {
  for (const [name, way] of Object.entries(ways)) {
    const before = process.cpuUsage();
    // another query each round: the first pass of every lane computes the beginning
    const ranked = await rankDocuments(way, `where is it ${round}`, documents, { instruction });
    const { user, system } = process.cpuUsage(before);
    if (round > 0) times[name]!.push((user + system) / 1e6);
    logits[name] = ranked.toSorted((a, b) => a.index - b.index).map(({ logit }) => logit);
  }
}
await engine.pool.close();
const { shared, alone } = times as { shared: number[]; alone: number[] };
console.log(JSON.stringify({
  model: engine.info.architecture,
  quantization: engine.info.quantization,
  documents: documents.length,
  shared: median(shared),
  alone: median(alone),
  ratio: median(alone) / median(shared),
  ratios: alone.map((time, i) => Number((time / shared[i]!).toFixed(2))),
  farthest: Math.max(...logits.shared!.map((logit, i) => Math.abs(logit - logits.alone![i]!))),
  range: Math.max(...logits.alone!) - Math.min(...logits.alone!),
}));
