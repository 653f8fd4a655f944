// Models in several files, as llama-gguf-split makes them: all keys in the first part, the tensors one part after another.
import { rmSync, writeFileSync } from "node:fs";
import type { Mutation } from "./corpus.ts";
import { copy, type Gguf, serialise, setKey, TYPE, type Value, value } from "./gguf.ts";
import { placeTensors } from "./hostile.ts";

/** What a model of the torture is: the bytes of its file, or those of each of its parts, of which some may be missing. */
export type Written = Uint8Array | readonly (Uint8Array | undefined)[];

const utf8 = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

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

/** The parts' bytes. */
export function serialiseParts(parts: readonly Gguf[]): Uint8Array[] {
  return parts.map(serialise);
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
    if (bytes) writeFileSync(path, bytes);
    else rmSync(path, { force: true });
    return path;
  });
}

/** Models in parts: sound ones cut everywhere, each without one of its tensors, and parts that do not belong together. */
export function* splits(base: string, gguf: Gguf, other: Gguf): Generator<Mutation> {
  const n = gguf.tensors.length, half = n >> 1;
  const one = (name: string, written: () => Written): Mutation => ({ name: `split: ${base} ${name}`, bytes: written });
  for (let cut = 0; cut <= n; cut++) yield one(`at ${cut} of ${n}`, () => serialiseParts(split(gguf, [cut])));
  yield one("into one", () => serialiseParts(split(gguf, [])));
  yield one(
    "into as many as there are tensors",
    () => serialiseParts(split(gguf, Array.from({ length: n - 1 }, (_, i) => i + 1))),
  );
  for (const [i, { name }] of gguf.tensors.entries()) {
    yield one(`without ${utf8(name)}`, () => {
      const without = { ...gguf, tensors: gguf.tensors.toSpliced(i, 1) };
      return serialiseParts(split(without, [half]));
    });
  }
  const parts = (): Uint8Array[] => serialiseParts(split(gguf, [half, half + 1]));
  yield one("exchanged", () => [parts()[0], parts()[2], parts()[1]]);
  yield one("backwards", () => parts().toReversed());
  yield one("the first three times", () => Array(3).fill(parts()[0]));
  yield one("the whole as the second", () => parts().with(1, serialise(gguf)));
  yield one("another's second", () => parts().with(1, serialiseParts(split(other, [half, half + 1]))[1]!));
  for (let i = 0; i < 3; i++) {
    yield one(`${i} missing`, () => parts().map((part, j) => i === j ? undefined : part));
    yield one(`${i} empty`, () => parts().with(i, new Uint8Array()));
    yield one(`${i} cut`, () => parts().with(i, parts()[i]!.subarray(0, -100)));
    yield one(`${i} HTML`, () => parts().with(i, new TextEncoder().encode("<!doctype html>")));
    yield* numbers(base, gguf, half, i);
  }
}

/** What a part says of itself, wrong. */
function* numbers(base: string, gguf: Gguf, half: number, index: number): Generator<Mutation> {
  const wrong: [string, Value | undefined][] = [
    ["missing", undefined],
    ...[0, 1, 2, 3, 4, 77, 65_535].map((number): [string, Value] => [`${number}`, u16(number)]),
    ["2 in 32 bits", value.u32(2)],
    ["-1", value.i32(-1)],
    ["2^31-1", value.i32(2 ** 31 - 1)],
    ["a list", value.i32s([1])],
    ["a text", value.string("1")],
  ];
  for (const key of ["split.no", "split.count", "split.tensors.count"]) {
    for (const [what, number] of wrong) {
      yield {
        name: `split: ${base} ${key} of ${index} ${what}`,
        bytes: () => {
          const parts = split(gguf, [half, half + 1]);
          return serialiseParts(parts.with(index, setKey(parts[index]!, key, number)));
        },
      };
    }
  }
}
