// Started by batch_invariance_test.ts on the other runtime: the vectors of texts, as base64 lines. `MODEL TEXT…`
import { Buffer } from "node:buffer";
import process from "node:process";
import { Llama } from "../../mod.ts";

const [model, ...texts] = process.argv.slice(2);
await using llama = await Llama.load(model!);
for (const vector of await llama.embed(texts)) console.log(Buffer.from(vector.buffer).toString("base64"));
