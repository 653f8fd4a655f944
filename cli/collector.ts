/**
 * Has V8 collect between pieces of work. It lets its space for young objects grow with all that outlive a piece, and waits
 * with the old ones' until they have doubled: a long job took half as much memory again as a short one. Its flags cannot be set
 * from within on Deno, so the heap profiler of `node:inspector` is asked. Bun's collector keeps to what a piece takes by
 * itself. (Not for a server: it would make room for young objects begin small again under load, at a quarter of the speed.)
 */
import process from "node:process";

/** What the heap may grow by since it was last collected, in bytes and as a part of what was left then. */
const ROOM = 4e6, GROWTH = 1.15;

/** Collects where that can be asked for; elsewhere it does nothing. */
export class Collector {
  #session: { post(method: string, done: (error: unknown) => void): void; disconnect(): void } | undefined;
  #left = 0;
  #isAsked = false;

  private constructor() {}

  /** Connects to this process's own heap profiler; no port is opened. */
  static async open(): Promise<Collector> {
    const collector = new Collector();
    if (!("Deno" in globalThis)) return collector;
    try {
      const { Session } = await import("node:inspector");
      const session = new Session();
      session.connect();
      collector.#session = session;
    } catch {
      // a release of Deno without it
    }
    return collector;
  }

  /** Collects if the heap has grown, in one of the next turns of the event loop, which waits for nothing of this. */
  collect(): void {
    if (this.#session === undefined || this.#isAsked) return;
    if (process.memoryUsage().heapTotal < this.#left * GROWTH + ROOM) return;
    this.#isAsked = true;
    this.#session.post("HeapProfiler.collectGarbage", () => {
      this.#isAsked = false;
      this.#left = process.memoryUsage().heapTotal;
    });
  }

  close(): void {
    this.#session?.disconnect();
    this.#session = undefined;
  }
}
