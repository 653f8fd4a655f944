/** Starts who takes part: our server and the engine in-process on each runtime, and llama-server. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as wait } from "node:timers/promises";
import { LONGEST } from "../texts.ts";
import { ROOT } from "../models.ts";
import { peakBytes } from "../resources.ts";
import type { Sample } from "./sample.ts";
import { type Spent, spentBy } from "./spent.ts";

const PATIENCE = 120; // seconds until a server must answer
const MARGIN = 64; // tokens of a slot's context that llama-server keeps for itself
const CONNECTIONS = 272; // that llama-server answers side by side; a thread each

/** A process that is measured. */
class Running {
  readonly child: ChildProcess;

  constructor(words: readonly string[], stdin: "ignore" | "pipe", stdout: "ignore" | "pipe") {
    this.child = spawn(words[0]!, words.slice(1), { cwd: ROOT, stdio: [stdin, stdout, "ignore"] });
  }

  /** Bytes that it has held at most. */
  get memory(): number {
    return peakBytes(this.child.pid!);
  }

  /** What it has spent so far. */
  get spent(): Spent {
    return spentBy(this.child.pid!);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill("SIGKILL");
    await once(this.child, "exit");
  }
}

/** A server. */
export class Server extends Running {
  readonly url: string;

  private constructor(words: readonly string[], port: number) {
    super(words, "ignore", "ignore");
    this.url = `http://127.0.0.1:${port}`;
  }

  /** Starts ours on a runtime. */
  static async ours(command: readonly string[], role: "embed" | "rerank", model: string): Promise<Server> {
    const port = await freePort();
    const words = [...command, join(ROOT, "cli", "main.ts"), "serve", `--${role}=${model}=m`, "--port", `${port}`];
    return await new Server(words, port).#ready("/readyz");
  }

  /** Starts llama-server. */
  static async theirs(program: string, role: "embed" | "rerank", model: string, setting: Setting): Promise<Server> {
    const port = await freePort();
    const options = {
      ...{ model, host: "127.0.0.1", port, parallel: setting.slots, "ctx-size": setting.slots * (LONGEST + MARGIN) },
      ...{ "batch-size": setting.ubatch, "ubatch-size": setting.ubatch, "threads-http": CONNECTIONS },
      ...{ threads: availableParallelism(), "threads-batch": availableParallelism() },
      ...{ "slot-prompt-similarity": 0, "cache-ram": 0 },
    };
    const words = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const kind = role === "embed" ? "--embedding" : "--rerank";
    return await new Server([program, ...words, kind, "--no-ui", "--log-disable"], port).#ready("/health");
  }

  /** The passes of ours so far, and the sequences in them. */
  async passes(): Promise<{ readonly passes: number; readonly sequences: number }> {
    const text = await (await fetch(`${this.url}/metrics`)).text();
    const number = (name: string): number =>
      Number(new RegExp(`^te_batch_next_size_${name}\\S* (\\d+)`, "m").exec(text)?.[1]);
    return { passes: number("count") || 0, sequences: number("sum") || 0 };
  }

  async #ready(path: string): Promise<this> {
    for (const end = performance.now() + PATIENCE * 1000; performance.now() < end;) {
      const response = await fetch(this.url + path).catch(() => undefined);
      await response?.arrayBuffer();
      if (response?.status === 200) return this;
      if (this.child.exitCode !== null) break;
      await wait(50);
    }
    await this[Symbol.asyncDispose]();
    throw new Error(`The server does not answer (exit code ${this.child.exitCode}): ${this.child.spawnargs.join(" ")}`);
  }
}

/** What is chosen for llama-server. */
export interface Setting {
  readonly type: string;
  readonly slots: number;
  /** Tokens of a pass; a text of more is refused. */
  readonly ubatch: number;
}

/** The engine, in a process of its own. */
export class Engine extends Running {
  readonly #lines: AsyncIterator<string>;

  private constructor(words: readonly string[]) {
    super(words, "pipe", "pipe");
    this.#lines = createInterface({ input: this.child.stdout! })[Symbol.asyncIterator]();
  }

  /**
   * Starts it on a runtime.
   *
   * @param job Path of a Job as JSON.
   */
  static async start(command: readonly string[], model: string, job: string): Promise<Engine> {
    const engine = new Engine([...command, join(ROOT, "bench", "serve", "engine.ts"), model, job]);
    await engine.#line();
    return engine;
  }

  /** Does what a line says. */
  async do(line: string): Promise<Sample> {
    this.child.stdin!.write(`${line}\n`);
    return JSON.parse(await this.#line());
  }

  async #line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error("The engine ended: run bench/serve/engine.ts by hand to see why");
    return value;
  }
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as { port: number };
  probe.close();
  await once(probe, "close");
  return port;
}
