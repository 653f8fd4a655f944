// Writes a file of the torture out, to be looked at: deno run -A tests/torture/write_file.ts corpus NUMBER STEM, or
// ... random SEED STEM, or ... vocabulary SEED STEM. It is STEM.gguf, or the parts STEM-00001-of-00002.gguf and so on. A
// failure of "files: random damage" or "tokenizers: …" has position P and the case's seed S: 1000000 * S + P.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { corpus } from "./corpus.ts";
import { mutant } from "./mutator.ts";
import { randomVocabulary } from "./random_vocabularies.ts";
import { writeModel } from "./split.ts";
import { type Base, readBase, writeBases } from "./tiny_models.ts";

const [kind, number, stem] = process.argv.slice(2);
if (!/^(corpus|random|vocabulary)$/.test(kind ?? "") || number === undefined || stem === undefined) {
  throw new RangeError("Cannot write a file: pass corpus NUMBER STEM, random SEED STEM or vocabulary SEED STEM");
}
const directory = mkdtempSync(join(tmpdir(), "llamasaur-"));
await writeBases(directory);
const read = (base: Base): Uint8Array => readBase(directory, base);
if (kind !== "corpus") {
  const { name, bytes } = kind === "random" ? mutant(Number(number), read) : randomVocabulary(Number(number));
  writeModel(stem, bytes);
  console.log(name);
} else {
  const found = [...corpus(read)][Number(number)];
  if (!found) throw new RangeError(`Cannot write the file ${number}: the corpus has no such`);
  writeModel(stem, found.bytes());
  console.log(found.name);
}
rmSync(directory, { recursive: true });
