// Leaves the process in the middle of native work: exit_worker.ts WAY MODEL DELAY-MS THREADS. See exit_test.ts.
import process from "node:process";
import { Llama } from "../../mod.ts";

const [way, model, delay, threads] = process.argv.slice(2) as [string, string, string, string];
const sentence = "a text that is long enough to keep a lane busy for a while ";

function leave(): void {
  if (way.endsWith("exit")) process.exit(7);
  if (way === "throw") throw new Error("thrown on purpose");
  if (way === "reject") void Promise.reject(new Error("rejected on purpose"));
}

if (way === "load exit") {
  void Llama.load(model);
  console.log("running");
  setTimeout(leave, Number(delay));
} else {
  const llama = await Llama.load(model, { threads: Number(threads) });
  const ends = way === "end" || way === "dropped";
  const [count, text] = ends ? [4, sentence] : [5000, sentence.repeat(12)];
  const work = llama.embed(Array.from({ length: count }, (_, i) => `${i} ${text}`));
  if (way === "end") void work.then((vectors) => console.log(`${vectors.length} vectors`));
  console.log("running"); // the parent sends its signal at this
  if (!ends) setTimeout(leave, Number(delay));
}
