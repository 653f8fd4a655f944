// Loads one model again and again until there is no room for it: address_space_worker.ts MODEL. See scarcity.ts.
import process from "node:process";
import { dot, Llama, LlamaError } from "../../mod.ts";
import { tell } from "./worker.ts";

const [model = ""] = process.argv.slice(2);
const loaded: Llama[] = [await Llama.load(model, { contexts: 1 })];
const expected = await loaded[0]!.embed("the first");
let error: unknown;
while (error === undefined && loaded.length < 100) {
  await Llama.load(model, { contexts: 1 }).then((llama) => loaded.push(llama), (reason) => error = reason);
}
const right = error instanceof LlamaError && error.code === "out-of-memory";
const spare = loaded.splice(1);
await Promise.all(spare.map((llama) => llama.close()));
const cosine = dot(await loaded[0]!.embed("the first"), expected);
await loaded[0]!.close();
tell(
  !right
    ? `after ${spare.length + 1} models: ${error instanceof LlamaError ? error.code : ""} ${error}`
    : cosine < 0.99999
    ? `the vector changed: ${cosine}`
    : undefined,
);
