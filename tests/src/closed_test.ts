// After close() nothing of a model is touched, whichever method asks and whoever calls close() in the middle.
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { Llama, LlamaError } from "../../mod.ts";

import { fixture } from "../support/checkpoint.ts";
import { libraryMissing } from "../support/references.ts";

const skip = libraryMissing;

/** Each method, with arguments that are read through `get`. */
const CALLS: Record<string, (llama: Llama, get: <T>(value: T) => T) => unknown> = {
  tokenize: (llama, get) => llama.tokenize(get("a")),
  countTokens: (llama, get) => llama.countTokens(get("a")),
  embed: (llama, get) =>
    llama.embed("a", {
      get prompt() {
        return get("x ");
      },
    }), // deno-fmt-ignore
  embedDetailed: (llama, get) => llama.embedDetailed(watched(["a", "b"], get)),
  embedStream: (llama, get) => llama.embedStream(generator(get)).next(),
  embedStreamDetailed: (llama, get) => llama.embedStreamDetailed([1], { text: () => get("a") }).next(),
  rerank: (llama, get) => llama.rerank("q", [1, 2], { text: () => get("a") }),
  fingerprint: (llama, get) =>
    llama.fingerprint({
      get prompt() {
        return get("x ");
      },
    }), // deno-fmt-ignore
  estimateMemory: (llama, get) => llama.estimateMemory(watched([1, 500], get)),
  close: (llama, get) => get(llama.close()),
};

function watched<T>(list: T[], get: <U>(value: U) => U): T[] {
  return new Proxy(list, { get: (target, key) => get(Reflect.get(target, key)) });
}

function* generator(get: <T>(value: T) => T): Generator<string, void, undefined> {
  yield get("a");
}

/** Calls; what came, or the code of the error. */
async function outcome(call: () => unknown): Promise<unknown> {
  try {
    await call();
    return "done";
  } catch (error) {
    return error instanceof LlamaError ? error.code : error;
  }
}

test("every method of Llama after close() is a closed error", { skip }, async () => {
  const methods = Object.getOwnPropertyNames(Llama.prototype).filter((name) => name !== "constructor");
  assertEquals(methods.sort(), Object.keys(CALLS).sort()); // a new one is to be added here
  const llama = await Llama.load(fixture("families/modern_bert.gguf"));
  await llama.close();
  for (const [name, call] of Object.entries(CALLS)) {
    const found = await outcome(() => call(llama, (value) => value));
    assertEquals([name, found], [name, name === "close" ? "done" : "closed"]);
  }
  assert(llama.info.dimensions > 0);
});

test("close() from inside of any call ends it or waits for it", { skip }, async () => {
  for (const [name, call] of Object.entries(CALLS)) {
    for (let at = 1; at <= 4; at++) {
      const llama = await Llama.load(fixture("families/modern_bert.gguf"));
      let closing: Promise<void> | undefined;
      let reads = 0;
      const found = await outcome(() =>
        call(llama, (value) => {
          if (++reads === at) closing ??= llama.close();
          return value;
        })
      );
      assert(found === "done" || found === "closed", `${name}, read ${at}: ${found}`);
      await (closing ?? llama.close());
    }
  }
});
