// What llama.cpp logs of a load, and which tokens it finds by their text. Two of its files are compiled with headers of ours
// before them (ffi/cpp/wraps/logged_arrays.h, string_equality.h), which must change neither.
import { after, before, test } from "node:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assert, assertEquals } from "@std/assert";
import { Llama } from "../../../mod.ts";
import { copy, type Gguf, parse, serialise, type Value, value } from "../../torture/gguf.ts";
import { withTokens } from "../../torture/hostile.ts";
import { readBase, writeBases } from "../../torture/tiny_models.ts";

let directory = "";
before(async () => {
  directory = mkdtempSync(join(tmpdir(), "llamasaur-"));
  await writeBases(directory);
});
after(() => rmSync(directory, { recursive: true }));

async function logOf(gguf: Gguf): Promise<string[]> {
  const path = join(directory, "one.gguf");
  writeFileSync(path, serialise(gguf));
  const lines: string[] = [];
  await using _llama = await Llama.load(path, { onLog: ({ message }) => void lines.push(message) });
  return lines;
}

/** A list as llama.cpp puts it into words, before it is cut. */
function words(elements: readonly string[]): string {
  return `[${elements.join(", ")}]`;
}

/** The beginning of a text of more than 40 characters, as the log shows it. */
function cut(text: string): string {
  return text.length > 40 ? `${text.slice(0, 37)}...` : text;
}

const LENGTHS = [0, 1, 2, 5, 9, 10, 11, 12, 13, 14, 20, 36, 37, 38, 39, 40, 41, 42, 100, 5000];

test("Llama.load() logs the number of elements of each list, and as many as 40 characters show", async () => {
  const gguf = copy(parse(readBase(directory, "bert")));
  const expected = new Map<string, string>();
  const add = (key: string, type: string, elements: readonly string[], list: Value): void => {
    gguf.entries.push({ key: new TextEncoder().encode(key), value: list });
    expected.set(key, `arr[${type},${elements.length}] = ${cut(words(elements))}`.replaceAll("\n", "\\n"));
  };
  for (const length of LENGTHS) {
    const numbers = Array.from({ length }, (_, i) => i % 10);
    const texts = numbers.map((n) => n === 3 ? '\\"' : n === 4 ? "\n" : "");
    add(`x.${length}.i32`, "i32", numbers.map(String), value.i32s(numbers));
    add(`x.${length}.f32`, "f32", numbers.map((n) => n.toFixed(6)), value.f32s(numbers));
    add(
      `x.${length}.str`,
      "str",
      texts.map((t) => `"${t.replace("\\", "\\\\").replace('"', '\\"')}"`),
      value.strings(texts),
    );
  }
  gguf.entryCount = BigInt(gguf.entries.length);
  const lines = await logOf(gguf);
  const found = lines.map((line) => / kv +\d+: +(x\.\S+) (arr\[\w+,\d+\]) +(= .*)$/.exec(line)).filter((match) =>
    match
  );
  assertEquals(new Map(found.map((match) => [match![1]!, `${match![2]} ${match![3]}`])), expected);
});

test("Llama.load() finds tokens by their text, and no others", async () => {
  const special = ["<|im_end|>", "<end_of_turn>", "<EOT>", "<|end_of_text|>", "<|eom_id|>"];
  const others = special.flatMap((text) => [`${text}x`, text.slice(0, -1), text.replace("<", "("), ` ${text}`]);
  const gguf = withTokens(parse(readBase(directory, "bert")), (tokens) => {
    const ours = [...special, ...others];
    return tokens.map((token, i) => ours[i - (tokens.length - ours.length)] ?? token);
  });
  const lines = await logOf(gguf);
  const found = lines.flatMap((line) => /control-looking token: +\d+ '(.*)' was not control/.exec(line)?.[1] ?? []);
  assert(found.length > 0, lines.join("\n"));
  assertEquals([...new Set(found)].sort(), special.sort());
});
