// Prints a hash of the bits of vectors: the same in every process, or something is not deterministic.
import { createHash } from "node:crypto";
import process from "node:process";
import { Llama } from "../../mod.ts";

/** A hash over all vectors of some texts, of one call on so many lanes. */
export async function hashOfVectors(model: string, contexts: number): Promise<string> {
  await using llama = await Llama.load(model, { contexts });
  const texts = Array.from({ length: 40 }, (_, i) => `Text ${i} has ${"some more words ".repeat(i % 5)}in it.`);
  const hash = createHash("sha256");
  for (const vector of await llama.embed(texts)) hash.update(new Uint8Array(vector.buffer));
  return hash.digest("hex");
}

if (import.meta.main) console.log(await hashOfVectors(process.argv[2]!, Number(process.argv[3])));
