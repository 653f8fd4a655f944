// Prints what Deno or Bun sees of the processor, by the function of a library, and what becomes of a fault in WebAssembly.
import process from "node:process";

const [path] = process.argv.slice(2);

async function seen(): Promise<number> {
  if ("Deno" in globalThis) return Deno.dlopen(path!, { seen: { parameters: [], result: "i32" } }).symbols.seen();
  const { dlopen, FFIType } = await import("bun:ffi");
  return dlopen(path!, { seen: { args: [], returns: FFIType.i32 } }).symbols.seen();
}

/** A module whose function reads what lies beyond its memory: a runtime may learn that by a SIGSEGV. */
// deno-fmt-ignore
const BEYOND = Uint8Array.of(
  0, 97, 115, 109, 1, 0, 0, 0, // the magic number, version 1
  1, 5, 1, 96, 0, 1, 127, // a type: () -> i32
  3, 2, 1, 0, // a function of it
  5, 3, 1, 0, 1, // a memory of one page
  7, 5, 1, 1, 102, 0, 0, // exported as "f"
  10, 12, 1, 10, 0, 65, 128, 128, 192, 0, 40, 2, 0, 11, // i32.load at 2^20
);

function trapped(): string {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(BEYOND));
  try {
    (exports["f"] as () => number)();
    return "nothing";
  } catch (error) {
    return (error as Error).name;
  }
}

const first = await seen();
console.log(JSON.stringify({ seen: first, trapped: trapped(), after: await seen() }));
