// Runs `llamasaur serve` as a user does: in a process of its own, on a free port, on the runtime that the test runs on.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as wait } from "node:timers/promises";
import { ROOT, startOf } from "./child.ts";
import { MODEL, programOn, RUNTIME } from "./program.ts";

/** A small reranker with random weights. */
export const RERANKER: string = join(ROOT, "tests", "fixtures", "families", "xlm_roberta_reranker.gguf");
/** The key of servers that need one. */
export const KEY = "a-key-for-tests";

/** The flags of a server with both roles. */
export const BOTH: readonly string[] = [
  `--embed=${MODEL}=mini,text-embedding-3-small`,
  `--rerank=${RERANKER}=ranker`,
];

/** Fields of bodies that have texts. */
const TEXT_FIELDS = ["input", "inputs", "prompt", "query", "documents", "texts"];
/** UTF-16 units of a text by which a log is searched for it, and the fewest that no log has by chance. */
const [SEARCHED, FEWEST] = [30, 8];

/** A server that runs. When it is disposed of, no text that it was asked about is in its log. */
export class TestServer implements AsyncDisposable {
  readonly url: string;
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | null>;
  readonly #heard: { text: string };
  readonly #texts = new Set<string>();

  private constructor(url: string, child: ChildProcess, ended: Promise<number | null>, heard: { text: string }) {
    this.url = url;
    this.#child = child;
    this.#ended = ended;
    this.#heard = heard;
  }

  /** Starts a server; resolves when it says that it serves. */
  static async start(args: readonly string[], env: Record<string, string> = {}): Promise<TestServer> {
    const words = programOn(RUNTIME).slice(1);
    return await TestServer.of([...startOf(RUNTIME), ...words, "serve", "--port", "0", ...args], env, ROOT);
  }

  /** Starts a server by another program than cli/main.ts. */
  static async by(program: readonly string[], args: readonly string[]): Promise<TestServer> {
    return await TestServer.of(["/usr/bin/env", ...program, "serve", "--port", "0", ...args], {}, ROOT);
  }

  /** Starts a server by a line as a shell reads it. */
  static async paste(line: string, env: Record<string, string>, cwd: string): Promise<TestServer> {
    return await TestServer.of(["/bin/sh", "-c", `exec ${line}`], env, cwd);
  }

  private static async of(words: readonly string[], env: Record<string, string>, cwd: string): Promise<TestServer> {
    const child = spawn(words[0]!, words.slice(1), {
      cwd,
      env: { ...process.env, NO_COLOR: "1", ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const heard = { text: "" };
    const ended = new Promise<number | null>((resolve) => child.on("close", (code) => resolve(code)));
    const url = await new Promise<string>((resolve, reject) => {
      const timer = setTimeout(() => {
        child.kill("SIGKILL");
        reject(new Error(`the server said nothing of serving within a minute:\n${heard.text}`));
      }, 60_000);
      child.stderr!.setEncoding("utf8").on("data", (text: string) => {
        heard.text += text;
        const found = /^llamasaur serves (\S+)$/m.exec(heard.text)?.[1];
        if (found === undefined) return;
        clearTimeout(timer);
        resolve(found);
      });
      void ended.then((code) => reject(new Error(`the server ended with ${code}:\n${heard.text}`)));
    });
    return new TestServer(url, child, ended, heard);
  }

  /** What it said on stderr. */
  get log(): string {
    return this.#heard.text;
  }

  /** Waits until it has said something: a line of the log is written behind the answer. */
  async logged(pattern: RegExp): Promise<void> {
    for (let turn = 0; !pattern.test(this.log); turn++) {
      if (turn === 1000) throw new Error(`the server did not say ${pattern} within ten seconds:\n${this.log}`);
      await wait(10);
    }
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Sends a signal; the exit code comes when it ends. */
  end(signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> {
    process.kill(this.pid, signal); // by child.kill(), Deno would tell of the signal whatever the code is
    return this.#ended;
  }

  /** Keeps the beginnings of texts, which must not be in the log. */
  keep(texts: unknown): void {
    for (const one of [texts].flat()) {
      const text: unknown = typeof one === "object" && one !== null ? (one as { text?: unknown }).text : one;
      if (typeof text === "string" && text.length >= FEWEST) this.#texts.add(text.slice(0, SEARCHED));
    }
  }

  /** Asks a route. */
  async ask(
    path: string,
    body?: unknown,
    init: RequestInit = {},
  ): Promise<{ status: number; body: Json; headers: Headers }> {
    if (typeof body === "string") this.keep(body);
    else if (body) { for (const field of TEXT_FIELDS) this.keep((body as Record<string, unknown>)[field]); }
    const response = await fetch(this.url + path, {
      ...(body !== undefined && { method: "POST", body: typeof body === "string" ? body : JSON.stringify(body) }),
      ...init,
      headers: {
        ...(body !== undefined && { "content-type": "application/json" }),
        ...init.headers as Record<string, string>,
      },
    });
    const text = await response.text();
    const json = response.headers.get("content-type")?.includes("json") ? JSON.parse(text) : text;
    return { status: response.status, body: json, headers: response.headers };
  }

  /** A number of /metrics; 0 where it is not. */
  async metric(name: string, label = ""): Promise<number> {
    const { body } = await this.ask("/metrics");
    const lines = String(body).split("\n").filter((line) => line.startsWith(name) && line.includes(label));
    return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
    for (const text of this.#texts) {
      if (this.log.includes(text)) throw new Error(`the server's log has the text ${JSON.stringify(text)}`);
    }
  }
}

/** An answer's JSON, to be looked into. */
// deno-lint-ignore no-explicit-any
export type Json = any;

/** Writes a file of keys; ends with the test. */
export function keyFile(...keys: string[]): { path: string; [Symbol.dispose](): void } {
  const folder = mkdtempSync(join(tmpdir(), "llamasaur-keys-"));
  const path = join(folder, "keys");
  writeFileSync(path, `# keys of a test\n${keys.join("\n")}\n`);
  return { path, [Symbol.dispose]: () => rmSync(folder, { recursive: true }) };
}
