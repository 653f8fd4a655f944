// Runs llamasaur's command line, and ends it at a moment between two states of the disk: LLAMASAUR_TEST_POINT is
// "POINT:TIMES:WHAT", where WHAT is `kill`, `SIGINT`, `lock` (another process takes the lock, the file LLAMASAUR_TEST_LOCK), `limit` (the
// system lets this process write no file beyond LLAMASAUR_TEST_LIMIT bytes any more; by prlimit of util-linux) or the code of
// an error that the disk would give. LLAMASAUR_TEST_LOADING=1 is a Ctrl-C while the model loads. The texts of each embed call
// are counted in the file LLAMASAUR_TEST_COUNT: what a restart computes again can be told from it, and the call whose number
// is LLAMASAUR_TEST_LOST fails as where llama.cpp is lost. The call whose number is LLAMASAUR_TEST_STUCK does not end: it
// says in that file that it is stuck, and when it is told to stop. LLAMASAUR_TEST_MEMORY is a file that gets the most memory
// that the process had, in kB. LLAMASAUR_TEST_HELD is one that gets a line a call: whether vectors of the call before are
// held while it computes; Deno needs --v8-flags=--expose-gc for that.
import { spawnSync } from "node:child_process";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { type Point, watchPoints } from "../../cli/jobs/disk.ts";
import { main } from "../../cli/main.ts";
import { type Embedding, type EmbedOptions, Llama, LlamaError } from "../../mod.ts";

const count = process.env["LLAMASAUR_TEST_COUNT"];
const [point = "", times = "1", what = "kill"] = (process.env["LLAMASAUR_TEST_POINT"] ?? "").split(":");
let left = Number(times);

watchPoints((reached: Point) => {
  if (reached !== point || --left > 0) return;
  if (what === "kill") {
    process.kill(process.pid, "SIGKILL");
    for (;;); // the signal comes in a moment, and nothing may happen before
  }
  if (what === "SIGINT") return void process.kill(process.pid, what);
  if (what === "lock") {
    return writeFileSync(process.env["LLAMASAUR_TEST_LOCK"]!, JSON.stringify({ pid: 1, boot: "x", token: "x" }));
  }
  if (what === "limit") {
    // Not from the start: Deno's caches of modules are files, too.
    const words = ["--pid", `${process.pid}`, `--fsize=${process.env["LLAMASAUR_TEST_LIMIT"]}`];
    return void spawnSync("prlimit", words, { stdio: "inherit" });
  }
  throw Object.assign(new Error(`${what}: made by a test`), { code: what });
});

if (count !== undefined) {
  const { embedDetailed } = Llama.prototype;
  let callsLeft = Number(process.env["LLAMASAUR_TEST_LOST"] ?? Infinity);
  let callsToStuck = Number(process.env["LLAMASAUR_TEST_STUCK"] ?? Infinity);
  Llama.prototype.embedDetailed = function (this: Llama, input, options) {
    appendFileSync(count, `${input.length}\n`);
    if (--callsLeft <= 0) throw new LlamaError("context-lost", "Cannot compute: made by a test");
    if (--callsToStuck === 0) return stuck(count, options!.signal!);
    return embedDetailed.call(this, input, options);
  } as typeof embedDetailed;
}

if (process.env["LLAMASAUR_TEST_LOADING"]) {
  const { load } = Llama;
  Llama.load = async (model, options) => {
    const heard = new Promise((resolve) => options!.signal!.addEventListener("abort", resolve));
    process.kill(process.pid, "SIGINT");
    await heard;
    process.kill(process.pid, "SIGINT"); // as a script runner does, whose group had the signal
    await new Promise((resolve) => setTimeout(resolve, 20));
    return await load.call(Llama, model, options);
  };
}

const heldFile = process.env["LLAMASAUR_TEST_HELD"];
if (heldFile !== undefined) watchHeld(heldFile);

await main(process.argv.slice(2));

const memory = process.env["LLAMASAUR_TEST_MEMORY"];
if (memory !== undefined) writeFileSync(memory, /VmHWM:\s*(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))![1]!);

/** A call that hears that it is to stop, and does not. */
function stuck(file: string, signal: AbortSignal): Promise<never> {
  appendFileSync(file, "stuck\n");
  signal.addEventListener("abort", () => appendFileSync(file, "told to stop\n"));
  return new Promise(() => setInterval(() => {}, 1000)); // which keeps the process alive
}

/** Collects garbage while a call computes, and looks whether the last one's vectors were there. */
function watchHeld(file: string): void {
  const { gc, Bun } = globalThis as unknown as { gc?: () => void; Bun?: { gc(now: boolean): void } };
  const { embedDetailed } = Llama.prototype;
  let last: WeakRef<object> | undefined;
  Llama.prototype.embedDetailed = async function (this: Llama, input: readonly string[], options: EmbedOptions) {
    const coming = embedDetailed.call(this, input, options) as Promise<Embedding[]>;
    for (let turn = 0; turn < 4; turn++) { // what was looked at in a turn is held to its end
      await new Promise((resolve) => setTimeout(resolve, 1));
      if (Bun) Bun.gc(true);
      else gc!();
    }
    if (last) appendFileSync(file, last.deref() ? "held\n" : "free\n");
    const embedded = await coming;
    last = new WeakRef(embedded[0]!.embedding);
    return embedded;
  } as typeof embedDetailed;
}
