// What exactness.ts runs: exactness_worker.ts SEED RUNS DIRECTORY
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { type Llama, LlamaError, type LlamaInfo } from "../../mod.ts";
import { bertRerankers } from "../support/bert_families.ts";
import {
  type Embedder,
  familyFile,
  loadFamily,
  readFamilies,
  type Reranker,
  scoresOf,
  toleranceOf,
  vectorsOf,
} from "../support/families.ts";
import { randomIntegers } from "../support/random.ts";
import { farthest } from "../support/references.ts";
import { copy, type Gguf, parse, serialise, setKey, TYPE, type Value, value } from "./gguf.ts";
import { placeTensors } from "./hostile.ts";
import type { Draw } from "./random_vocabularies.ts";
import { serialiseParts, split, writeModel } from "./split.ts";
import { tell } from "./worker.ts";

const [first = "", runs = "", directory = ""] = process.argv.slice(2);
const utf8 = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** A fixture, and what comes out of its file as it is. */
interface Whole {
  readonly item: Embedder | Reranker;
  readonly gguf: Gguf;
  readonly info: LlamaInfo;
  readonly rows: readonly ArrayLike<number>[];
}

async function whole(item: Embedder | Reranker, file: string): Promise<Whole> {
  await using llama = await loadFamily(item, file, { onLog: () => {} });
  return { item, gguf: parse(readFileSync(file)), info: llama.info, rows: await rowsOf(llama, item) };
}

/** The vectors of some texts, or the logits of some pairs. */
async function rowsOf(llama: Llama, item: Embedder | Reranker): Promise<readonly ArrayLike<number>[]> {
  if ("texts" in item) return await vectorsOf(llama, item.texts.slice(0, 12));
  return (await scoresOf(llama, item.pairs.slice(0, 6))).map(({ logits }) => logits);
}

/** What a converter's key never is. */
function odd(key: string, old: Value, draw: Draw): Value {
  const values = [
    value.string("no such"),
    value.string(""),
    value.u32(77),
    value.i32(-1),
    value.f32(NaN),
    value.bool(1),
    value.strings(["gelu"]),
    value.i32s([]),
  ].filter(({ type }) => type !== old.type || old.type === TYPE.string || key.endsWith("pooling_type"));
  return values[draw(0, values.length - 1)]!;
}

// Qwen3-Reranker's head is two rows of its output matrix: a file without it is asked for "yes" and "no", and is exact. The fixture's
// head is random numbers, so that it is another model without.
const kept = (name: string, tensor: string): boolean =>
  name === "qwen3_reranker_head" && tensor === "cls.output.weight";

interface Changed {
  readonly gguf: Gguf;
  readonly what: readonly string[];
}

/** Takes out or spoils some of what changes a result. */
function change(fixture: string, gguf: Gguf, draw: Draw): Changed {
  const names = gguf.entries.map(({ key }) => utf8(key));
  const tensors = gguf.tensors.map(({ name }) => utf8(name)).filter((tensor) => !kept(fixture, tensor));
  const what: string[] = [];
  let next = gguf;
  for (let left = draw(1, 3); left > 0; left--) {
    if (draw(0, 3) === 0) {
      const name = tensors[draw(0, tensors.length - 1)]!;
      next = withoutTensor(next, name);
      what.push(`without the tensor ${name}`);
      continue;
    }
    const key = names[draw(0, names.length - 1)]!;
    const old = gguf.entries.find((entry) => utf8(entry.key) === key)!.value;
    const spoilt = draw(0, 2) === 0 ? odd(key, old, draw) : undefined;
    next = setKey(next, key, spoilt);
    what.push(spoilt ? `${key} of type ${spoilt.type}, ${JSON.stringify(utf8(spoilt.bytes))}` : `without ${key}`);
  }
  return { gguf: next, what };
}

function withoutTensor(gguf: Gguf, name: string): Gguf {
  const next = copy(gguf);
  next.tensors = next.tensors.filter((tensor) => utf8(tensor.name) !== name);
  next.tensorCount = BigInt(next.tensors.length);
  placeTensors(next);
  return next;
}

/** One file: what is wrong with it; undefined if nothing. */
async function once(seed: number): Promise<string | undefined> {
  const draw = randomIntegers(seed);
  const { item, gguf, info, rows } = await wholeOf(draw(0, files.length - 1));
  // as if convert() had made it, so that nothing is open because of that alone
  const claimed = draw(0, 1) ? setKey(gguf, "llamasaur.converter", value.u32(1)) : gguf;
  const { gguf: changed, what } = change(item.family.name, claimed, draw);
  const cuts = draw(0, 2) === 0 ? [draw(1, changed.tensors.length - 1)] : undefined;
  const written = cuts ? serialiseParts(split(changed, cuts)) : serialise(changed);
  const paths = writeModel(join(directory, `exactness ${process.pid}`), written);
  try {
    await using llama = await loadFamily(item, paths[0]!, { onLog: () => {} });
    if (!llama.info.exact) return undefined;
    const { reranker } = llama.info;
    const words = `${item.family.name}, seed ${seed}, ${what.join(", ")}${cuts ? `, cut at ${cuts}` : ""}: exact`;
    if (reranker !== info.reranker) return `${words}, and now ${reranker}`;
    const found = await rowsOf(llama, item);
    const off = Math.max(
      ...rows.map((row, i) => row.length === found[i]!.length ? farthest(row, found[i]!) : Infinity),
    );
    return off <= toleranceOf(item, llama.info) ? undefined : `${words}, and ${off} from what it was`;
  } catch (error) {
    const refused = error instanceof LlamaError || error instanceof RangeError || error instanceof TypeError;
    return refused ? undefined : `${what.join(", ")}: ${error}`;
  } finally {
    for (const path of paths) rmSync(path, { force: true });
  }
}

const { embedders, rerankers } = readFamilies();
const files = [...embedders, ...rerankers].map((item) => ({ item, file: familyFile(item.family) }));
const berts = (await bertRerankers(directory)).filter(({ reranker }) => reranker.family.name.startsWith("tiny"));
files.push(...berts.map(({ reranker: item, file }) => ({ item, file })));
const wholes = new Map<number, Whole>();

/** A fixture, read where it is asked for first. */
async function wholeOf(index: number): Promise<Whole> {
  const { item, file } = files[index]!;
  const found = wholes.get(index) ?? await whole(item, file);
  wholes.set(index, found);
  return found;
}

for (let seed = Number(first) * 10_000; seed < Number(first) * 10_000 + Number(runs); seed++) {
  tell(await once(seed).catch((error) => `seed ${seed}: ${error}`));
}
