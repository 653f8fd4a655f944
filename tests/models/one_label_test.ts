// A decoder that classifies by one label: llama.cpp puts a softmax over its one output, which is 1.0 whatever the text.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { assert } from "@std/assert";
import { Llama } from "../../mod.ts";
import { copy, type Gguf, parse, serialise, setKey, value } from "../torture/gguf.ts";
import { placeTensors } from "../torture/hostile.ts";
import { readBase, writeBases } from "../torture/tiny_models.ts";

const DOCUMENTS = ["hello world", "a cat", "yes, and more words than the others have"];
const LABELS = "qwen3.classifier.output_labels";
let directory = "";
before(async () => {
  directory = mkdtempSync(join(tmpdir(), "llamasaur-"));
  await writeBases(directory);
});
after(() => rmSync(directory, { recursive: true }));

/** The tiny Qwen3 whose head's second output is always 0, so that the odds of two labels are the first one's logit. */
function withHead(labels: 1 | 2): Gguf {
  const gguf = copy(parse(readBase(directory, "qwen3")));
  const head = gguf.tensors.find(({ name }) => new TextDecoder().decode(name) === "cls.output.weight")!;
  const width = Number(head.dimensions[0]!);
  head.dimensions = labels === 1 ? [BigInt(width), 1n] : [BigInt(width), 2n];
  head.data = head.data.slice(0, width * 4 * labels);
  head.data.fill(0, width * 4);
  placeTensors(gguf);
  return setKey(gguf, LABELS, value.strings(["yes", "no"].slice(0, labels)));
}

async function logits(name: string, gguf: Gguf): Promise<number[]> {
  const path = join(directory, `${name}.gguf`);
  writeFileSync(path, serialise(gguf));
  await using llama = await Llama.load(path, { contexts: 1, onLog: () => {} });
  const ranked = await llama.rerank("hello", DOCUMENTS);
  return ranked.toSorted((a, b) => a.index - b.index).map(({ logit }) => logit);
}

test("rerank() by a Qwen3 of one label gives its logit, with the labels' names in the file and without", async () => {
  const expected = await logits("two", withHead(2));
  const one = withHead(1);
  for (const [name, gguf] of [["one", one], ["unnamed", setKey(one, LABELS, undefined)]] as const) {
    const got = await logits(name, gguf);
    const largest = Math.max(...got.map((logit, i) => Math.abs(logit - expected[i]!)));
    console.log(`${name}: largest difference ${largest.toExponential(1)}`);
    assert(largest < 1e-5, `${got} for ${expected}`);
    assert(new Set(got).size === DOCUMENTS.length);
  }
});
