// Models in several files, as llama-gguf-split makes them: all keys in the first part, the tensors one part after another.
import { writeFileSync } from "node:fs";
import { copy, type Gguf, serialise, setKey, TYPE, type Value, value } from "./gguf.ts";
import { placeTensors } from "./hostile.ts";

/** What a file of the torture is: its bytes, or those of each of its parts. */
export type Written = Uint8Array | readonly Uint8Array[];

/** A number of 16 bits. */
export function u16(n: number): Value {
  return { type: TYPE.u16, bytes: Uint8Array.of(n & 255, n >> 8) };
}

/**
 * Takes a model apart.
 *
 * @param cuts At which tensors a new part begins, in rising order.
 */
export function split(gguf: Gguf, cuts: readonly number[]): Gguf[] {
  const bounds = [0, ...cuts, gguf.tensors.length];
  return bounds.slice(1).map((end, i) => {
    let part = copy(gguf);
    part.tensors = part.tensors.slice(bounds[i], end);
    part.tensorCount = BigInt(part.tensors.length);
    if (i > 0) part.entries = [];
    part = setKey(part, "split.no", u16(i));
    part = setKey(part, "split.count", u16(bounds.length - 1));
    part = setKey(part, "split.tensors.count", value.i32(gguf.tensors.length));
    placeTensors(part);
    return part;
  });
}

/** The name of a part's file: what llama.cpp looks for. */
export function partName(stem: string, index: number, count: number): string {
  const digits = (n: number): string => String(n).padStart(5, "0");
  return `${stem}-${digits(index + 1)}-of-${digits(count)}.gguf`;
}

/** Writes a model to `stem`.gguf, or its parts beside each other; returns the paths, the one to be loaded first. */
export function writeModel(stem: string, written: Written): string[] {
  const parts = written instanceof Uint8Array ? [written] : written;
  return parts.map((bytes, i) => {
    const path = written instanceof Uint8Array ? `${stem}.gguf` : partName(stem, i, parts.length);
    writeFileSync(path, bytes);
    return path;
  });
}

/** The parts' bytes. */
export function serialiseParts(parts: readonly Gguf[]): Uint8Array[] {
  return parts.map(serialise);
}
