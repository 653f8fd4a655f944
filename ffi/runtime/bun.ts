/** The adapter for Bun: the table as `bun:ffi` wants it, and one thread-safe callback that says "look at the queue". */
import process from "node:process";
import { type Functions, type Handle, type NativeType, type Signature, SYMBOLS } from "../symbols.ts";
import type { Library } from "./adapter.ts";

const TYPES = { i32: "i32", ptr: "ptr", buf: "ptr", void: "void" } as const;

/** Milliseconds between two looks at the queue, in a worker. */
const POLL = 1;

interface BunFunction {
  readonly args: readonly (typeof TYPES)[NativeType][];
  readonly returns: (typeof TYPES)[NativeType];
}

interface BunFfi {
  dlopen(path: string, table: Record<string, BunFunction>): { readonly symbols: unknown };
  readonly JSCallback: new (
    callback: () => void,
    type: { readonly args: readonly string[]; readonly returns: string; readonly threadsafe: boolean },
  ) => { readonly ptr: unknown };
}

/** `bun:ffi`. Where it is imported, bundlers put the import at the top of their file, which then starts on Bun alone. */
function bunFfi(): BunFfi {
  return process.getBuiltinModule("bun:ffi") as unknown as BunFfi;
}

/** Opens a library with a table, or with a part of it. */
export function open<T = Functions>(path: string, table: Record<string, Signature> = SYMBOLS): Library<T> {
  const functions: Record<string, BunFunction> = {};
  for (const [name, { args, returns }] of Object.entries(table)) {
    functions[name] = { args: args.map((type) => TYPES[type]), returns: TYPES[returns] };
  }
  const { Bun } = globalThis as unknown as { Bun: { readonly isMainThread: boolean } };
  return { functions: bunFfi().dlopen(path, functions).symbols as T, listen: Bun.isMainThread ? listen : poll };
}

// A thread-safe callback does not keep the process alive; a timer that never fires does, while jobs are pending.
function listen(functions: Functions, queue: Handle, drain: () => boolean): () => void {
  let alive: ReturnType<typeof setInterval> | undefined;
  const callback = new (bunFfi().JSCallback)(() => {
    if (drain()) return;
    clearInterval(alive);
    alive = undefined;
  }, { args: ["i32"], returns: "void", threadsafe: true });
  functions.saur_queue_notify(queue, callback.ptr as Handle);
  return () => {
    alive ??= setInterval(() => {}, 0x7fffffff);
  };
}

// A worker can be terminated at any moment, and a lane that then calls back into it takes the process with it (SIGSEGV);
// Bun tells nobody that a worker ends. So there the queue is looked at.
function poll(_functions: Functions, _queue: Handle, drain: () => boolean): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const look = (): void => {
    timer = drain() ? setTimeout(look, POLL) : undefined;
  };
  return () => {
    timer ??= setTimeout(look, POLL);
  };
}
