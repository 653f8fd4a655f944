/**
 * Has the runtime collect between pieces of work. V8 lets its space for young objects grow with all that outlive a piece, and
 * waits with the old ones' until they have doubled, and JavaScriptCore lets what is dead of a piece pile up beside the next: a
 * long job took half as much memory again as a short one. V8's flags cannot be set from within on Deno, so the heap profiler of
 * `node:inspector` is asked. (Not for a server: it would make room for young objects begin small again under load, at a quarter of
 * the speed.)
 */
import process from "node:process";

/** What the heap may grow by since it was last collected, in bytes and as a part of what was left then. */
const ROOM = 4e6, GROWTH = 1.15;

/** `node:inspector`'s. */
interface Session {
  connect(): void;
  post(method: string, done: (error: unknown) => void): void;
  disconnect(): void;
}

/** Collects where that can be asked for; elsewhere it does nothing. */
export class Collector implements Disposable {
  #gc: ((done: () => void) => void) | undefined;
  #session: Session | undefined;
  #left = 0;
  #isAsked = false;

  private constructor() {}

  /** Connects on Deno to this process's own heap profiler; no port is opened. */
  static async open(): Promise<Collector> {
    const collector = new Collector();
    const { Bun } = globalThis as { readonly Bun?: { gc(isFull: boolean): void } };
    if (Bun) {
      collector.#gc = (done) => {
        Bun.gc(true);
        done();
      };
    }
    if (!("Deno" in globalThis)) return collector;
    try {
      const { Session } = await import("node:inspector");
      const session: Session = new Session();
      session.connect();
      collector.#session = session;
      collector.#gc = (done) => session.post("HeapProfiler.collectGarbage", done);
    } catch {
      // a release of Deno without it
    }
    return collector;
  }

  /** Collects if the heap has grown; on Deno in one of the next turns of the event loop, which waits for nothing of this. */
  collect(): void {
    if (this.#gc === undefined || this.#isAsked || heapBytes() < this.#left * GROWTH + ROOM) return;
    this.#isAsked = true;
    this.#gc(() => {
      this.#isAsked = false;
      this.#left = heapBytes();
    });
  }

  [Symbol.dispose](): void {
    this.#session?.disconnect();
    this.#gc = undefined;
  }
}

/** Of V8 what it holds, and of JavaScriptCore what it uses: what it holds it tells only after a collection. */
function heapBytes(): number {
  const { heapTotal, heapUsed } = process.memoryUsage();
  return "Bun" in globalThis ? heapUsed : heapTotal;
}
