// After any callback of the caller the signal is looked at: a call whose signal was aborted in one does not resolve.
import { test } from "node:test";
import { join } from "node:path";
import { assertEquals } from "@std/assert";
import { convert, quantize } from "../../convert.ts";
import { Llama } from "../../mod.ts";
import { fixture, inDirectory } from "../support/checkpoint.ts";
import { libraryMissing } from "../support/references.ts";

const skip = libraryMissing;

/** What becomes of a call whose signal is aborted at the n-th call of its callbacks; undefined when there are fewer. */
async function abortedAt(
  n: number,
  call: (signal: AbortSignal, callback: () => void) => Promise<unknown>,
): Promise<unknown> {
  const controller = new AbortController();
  const reason = new Error("mine");
  let calls = 0;
  const found = await call(controller.signal, () => {
    if (++calls === n) controller.abort(reason);
  }).then(() => "resolved", (error) => error === reason ? "rejected" : error);
  return calls < n ? undefined : found;
}

test(
  "Llama.load(), convert() and quantize() reject when they are aborted in any of their callbacks",
  { skip },
  async () => {
    await inDirectory(async (directory) => {
      const [from, to] = [fixture("families/bert_cls.gguf"), join(directory, "to.gguf")];
      const CALLS: Record<string, (signal: AbortSignal, callback: () => void) => Promise<unknown>> = {
        "load, onProgress": (signal, onProgress) => load({ signal, onProgress }),
        "load, onLog": (signal, onLog) => load({ signal, onLog }),
        "quantize": (signal, onProgress) => quantize(from, to, "q8_0", { signal, onProgress }),
        "convert": (signal, onProgress) => convert(fixture("tiny_bert"), to, { signal, onProgress }),
        "convert and quantize": (signal, onProgress) =>
          convert(fixture("tiny_bert"), to, { type: "q8_0", signal, onProgress }),
      };
      const load = async (options: object): Promise<void> => await (await Llama.load(from, options)).close();
      for (const [name, call] of Object.entries(CALLS)) {
        let n = 1;
        for (let found = await abortedAt(n, call); found !== undefined; found = await abortedAt(++n, call)) {
          assertEquals([name, n, found], [name, n, "rejected"]);
        }
        assertEquals([name, n > 1], [name, true]);
      }
    });
  },
);

test("embed() and rerank() reject when they are aborted in any call of onProgress", { skip }, async () => {
  await using llama = await Llama.load(fixture("families/bert_mean.gguf"));
  const texts = Array.from({ length: 50 }, (_, i) => `text ${i} `.repeat(1 + i % 20));
  for (
    const call of [
      (signal: AbortSignal, onProgress: () => void) => llama.embed(texts, { signal, onProgress }),
      (signal: AbortSignal, onProgress: () => void) => llama.rerank("query", texts, { signal, onProgress }),
    ]
  ) {
    let n = 1;
    for (let found = await abortedAt(n, call); found !== undefined; found = await abortedAt(++n, call)) {
      assertEquals([n, found], [n, "rejected"]);
    }
  }
});
