/** The adapter for Deno: the table as `Deno.dlopen` wants it, and one nonblocking wait while jobs are pending. */
import { type Functions, type Handle, type NativeType, type Signature, SYMBOLS } from "../symbols.ts";
import type { Library } from "./adapter.ts";

const TYPES = { i32: "i32", ptr: "pointer", buf: "buffer", void: "void" } as const;

interface DenoFunction {
  readonly parameters: readonly (typeof TYPES)[NativeType][];
  readonly result: (typeof TYPES)[NativeType];
  readonly nonblocking: boolean;
}
interface DenoDlopen {
  dlopen(path: string, table: Record<string, DenoFunction>): { readonly symbols: unknown };
}

/** Opens a library with a table, or with a part of it. */
export function open<T = Functions>(path: string, table: Record<string, Signature> = SYMBOLS): Library<T> {
  const functions: Record<string, DenoFunction> = {};
  for (const [name, { args, returns, blocking = false }] of Object.entries(table)) {
    functions[name] = { parameters: args.map((type) => TYPES[type]), result: TYPES[returns], nonblocking: blocking };
  }
  const { Deno } = globalThis as unknown as { Deno: DenoDlopen };
  return { functions: Deno.dlopen(path, functions).symbols as T, listen };
}

// Deno's pool of 32 threads for such calls is shared with async file access, so never more than one wait at a time.
function listen(functions: Functions, queue: Handle, drain: () => boolean): () => void {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    void (async () => {
      do await functions.saur_queue_wait(queue); while (drain());
      waiting = false;
    })();
  };
}
