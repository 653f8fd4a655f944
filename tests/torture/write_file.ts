// Writes a file of the torture out, to be looked at: deno run -A tests/torture/write_file.ts corpus NUMBER FILE, or
// ... random SEED FILE. A failure of "files: random damage" has position P and the case's seed S: 1000000 * S + P.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { corpus } from "./corpus.ts";
import { mutant } from "./mutator.ts";
import { type Base, readBase, writeBases } from "./tiny_models.ts";

const [kind, number, file] = process.argv.slice(2);
if (!/^(corpus|random)$/.test(kind ?? "") || number === undefined || file === undefined) {
  throw new RangeError("Cannot write a file: pass corpus NUMBER FILE or random SEED FILE");
}
const directory = mkdtempSync(join(tmpdir(), "llamasaur-"));
await writeBases(directory);
const read = (base: Base): Uint8Array => readBase(directory, base);
if (kind === "random") {
  const { name, bytes } = mutant(Number(number), read);
  writeFileSync(file, bytes);
  console.log(name);
} else {
  const found = [...corpus(read)][Number(number)];
  if (!found) throw new RangeError(`Cannot write the file ${number}: the corpus has no such`);
  writeFileSync(file, found.bytes());
  console.log(found.name);
}
rmSync(directory, { recursive: true });
