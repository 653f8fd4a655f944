// Embeds in a worker: sends a vector, then goes on until it is terminated. See worker_test.ts.
import { parentPort, workerData } from "node:worker_threads";
import { Llama } from "../../mod.ts";

const llama = await Llama.load(workerData as string);
parentPort!.postMessage(await llama.embed("from a worker"));
const texts = Array.from({ length: 50 }, (_, i) => `${i} a text that keeps a lane busy for a while`);
for (;;) await llama.embed(texts);
