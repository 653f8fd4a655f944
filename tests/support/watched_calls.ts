// Each method of a model, with arguments that are read through a function of the caller's, which may call anything itself.
import { type Llama, LlamaError } from "../../mod.ts";

/** Each method, with arguments that are read through `get`. */
export const CALLS: Readonly<Record<string, (llama: Llama, get: <T>(value: T) => T) => unknown>> = {
  tokenize: (llama, get) => llama.tokenize(get("a")),
  pieces: (llama, get) => llama.pieces(watched([1, 2], get)),
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
export async function outcome(call: () => unknown): Promise<unknown> {
  try {
    await call();
    return "done";
  } catch (error) {
    return error instanceof LlamaError ? error.code : error;
  }
}
