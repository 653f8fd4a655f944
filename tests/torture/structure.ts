// The part of the corpus that is about the format: counts, lengths, types, shapes, offsets, and where a file is cut.
import { Buffer } from "node:buffer";
import type { Mutation } from "./corpus.ts";
import { copy, type Gguf, pieces, serialise, u32, u64 } from "./gguf.ts";

const LONG = [0n, 1n, 2n ** 31n, 2n ** 32n, 2n ** 40n, 2n ** 62n, 2n ** 63n, -1n];
const utf8 = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

export function* headers(gguf: Gguf): Generator<Mutation> {
  const one = (name: string, change: Partial<Gguf>): Mutation => ({
    name: `header: ${name}`,
    bytes: () => serialise({ ...gguf, ...change }),
  });
  for (const magic of ["ggml", "GGJT", "FUGG", "GGUf", "\0\0\0\0"]) {
    yield one(`magic ${JSON.stringify(magic)}`, { magic: Buffer.from(magic).readUInt32LE() });
  }
  for (const version of [0, 1, 2, 4, 0x03000000, 0xffffffff]) yield one(`version ${version}`, { version });
  const counts = (right: bigint): bigint[] => [...LONG, right - 1n, right + 1n, 1000n * right];
  for (const n of counts(gguf.tensorCount)) yield one(`${n} tensors`, { tensorCount: n });
  for (const n of counts(gguf.entryCount)) yield one(`${n} keys`, { entryCount: n });
}

/** Lengths of keys, strings, names and arrays, and numbers of types. */
export function* lengths(gguf: Gguf): Generator<Mutation> {
  const parts = pieces(gguf);
  const patched = (name: string, part: number, at: number, bytes: Uint8Array): Mutation => ({
    name: `length: ${name}`,
    bytes: () => {
      const copies = parts.map((one, i) => i === part ? one.slice() : one);
      copies[part]!.set(bytes, at);
      return Buffer.concat(copies);
    },
  });
  const tokens = gguf.entries.findIndex(({ key }) => utf8(key) === "tokenizer.ggml.tokens");
  const types = gguf.entries.findIndex(({ key }) => utf8(key) === "tokenizer.ggml.token_type");
  const valueAt = (entry: number): number => 8 + gguf.entries[entry]!.key.length + 4;
  const firstTensor = gguf.entries.length + 1;
  const tooLong = [...LONG, 63n, 64n, 65n, 1000n, 2n ** 30n, 2n ** 30n + 1n, 2n ** 64n - 8n];
  for (const n of tooLong) {
    yield patched(`key of ${n} bytes`, 1, 0, u64(n));
    yield patched(`string of ${n} bytes`, 1, valueAt(0), u64(n));
    yield patched(`token of ${n} bytes`, tokens + 1, valueAt(tokens) + 12, u64(n));
    yield patched(`${n} tokens`, tokens + 1, valueAt(tokens) + 4, u64(n));
    if (types >= 0) yield patched(`${n} token types`, types + 1, valueAt(types) + 4, u64(n));
    yield patched(`tensor name of ${n} bytes`, firstTensor, 0, u64(n));
  }
  for (const type of [...Array(14).keys(), 255, 0xffffffff]) {
    yield patched(`type ${type} of a string`, 1, valueAt(0) - 4, u32(type));
    yield patched(`type ${type} of a number`, 4, valueAt(3) - 4, u32(type));
    yield patched(`type ${type} of tokens`, tokens + 1, valueAt(tokens), u32(type));
    if (types >= 0) yield patched(`type ${type} of token types`, types + 1, valueAt(types), u32(type));
  }
}

/** The file cut at the end of each of its parts, a byte before and a byte behind. */
export function* cuts(gguf: Gguf): Generator<Mutation> {
  const parts = pieces(gguf);
  let end = 0;
  for (const [i, part] of parts.entries()) {
    end += part.length;
    for (const size of [end - 1, end, end + 1]) {
      if (i === parts.length - 1 && size > end - 1) continue;
      yield { name: `cut: part ${i} at ${size}`, bytes: () => serialise(gguf).subarray(0, size) };
    }
  }
}

/** What is said of tensors: their names, shapes, places and types, and how many they are. */
export function* tensors(gguf: Gguf): Generator<Mutation> {
  const changed = (name: string, change: (next: Gguf) => void): Mutation => ({
    name: `tensor: ${name}`,
    bytes: () => {
      const next = copy(gguf);
      change(next);
      return serialise(next);
    },
  });
  yield* eachTensor(gguf, changed);
  yield* shapesOfTensors(changed);
  yield* placesOfTensors(gguf, changed);
  yield* namesOfTensors(changed);
  for (let type = 0; type < 48; type++) yield changed(`type ${type}`, (next) => next.tensors[0]!.type = type);
  for (const type of [-1, -0x80000000, 0x7fffffff]) {
    yield changed(`type ${type}`, (next) => next.tensors[0]!.type = type);
  }
}

type Changed = (name: string, change: (next: Gguf) => void) => Mutation;

function* eachTensor(gguf: Gguf, changed: Changed): Generator<Mutation> {
  for (const [i, { name, dimensions }] of gguf.tensors.entries()) {
    const shown = utf8(name);
    yield changed(`${shown} missing`, (next) => {
      const [gone] = next.tensors.splice(i, 1);
      for (const later of next.tensors.slice(i)) later.offset -= BigInt(gone!.data.length);
      next.tensorCount--;
    });
    yield changed(`${shown} under another name`, (next) => next.tensors[i]!.name = Buffer.from(`x${shown}`));
    yield changed(`${shown} turned round`, (next) => next.tensors[i]!.dimensions.reverse());
    yield changed(`${shown} one wider`, (next) => next.tensors[i]!.dimensions[0] = dimensions[0]! + 1n);
    yield changed(`${shown} flat`, (next) => next.tensors[i]!.dimensions = [dimensions.reduce((a, b) => a * b)]);
  }
}

const SHAPES: readonly bigint[][] = [
  [],
  [0n],
  [0n, 0n],
  [1n],
  [-1n],
  [2n ** 31n],
  [2n ** 62n],
  [2n ** 63n - 1n],
  [2n ** 32n, 2n ** 32n],
  [
    2n ** 31n,
    2n ** 31n,
    4n,
  ],
  [2n ** 62n, 2n, 2n],
  [64n, 285n, 0n],
  [64n, 285n, 1n, 1n, 1n],
  [1n, 1n, 1n, 1n, 2n ** 40n],
  [64n, 2n ** 58n],
  [
    2n ** 16n,
    2n ** 16n,
    2n ** 16n,
    2n ** 16n,
  ],
];

function* shapesOfTensors(changed: Changed): Generator<Mutation> {
  for (const shape of SHAPES) {
    yield changed(`shape [${shape}]`, (next) => next.tensors[0]!.dimensions = [...shape]);
    yield changed(`last shape [${shape}]`, (next) => next.tensors.at(-1)!.dimensions = [...shape]);
  }
}

function* placesOfTensors(gguf: Gguf, changed: Changed): Generator<Mutation> {
  const [first, second, third] = gguf.tensors as [Gguf["tensors"][0], Gguf["tensors"][0], Gguf["tensors"][0]];
  const offsets = [
    1n,
    8n,
    31n,
    32n,
    -32n,
    second.offset + 32n,
    second.offset - 32n,
    0n,
    2n ** 40n,
    2n ** 63n,
    2n ** 64n - 32n,
  ];
  for (const offset of offsets) {
    yield changed(`second at ${offset}`, (next) => next.tensors[1]!.offset = offset);
    yield changed(`last at ${offset}`, (next) => next.tensors.at(-1)!.offset = offset);
  }
  yield changed("two with one name", (next) => next.tensors[1]!.name = first.name);
  yield changed("two change places", (next) => {
    next.tensors[1]!.offset = third.offset;
    next.tensors[2]!.offset = second.offset;
  });
}

function* namesOfTensors(changed: Changed): Generator<Mutation> {
  for (const length of [0, 63, 64, 200, 100_000]) {
    yield changed(`name of ${length} letters`, (next) => next.tensors[0]!.name = new Uint8Array(length).fill(120));
  }
  yield changed("name with a NUL", (next) => next.tensors[0]!.name = Buffer.from("token_embd.weight\0x"));
  yield changed("20,000 more", (next) => {
    const { offset, data } = next.tensors.at(-1)!;
    const end = offset + BigInt(data.length);
    for (let i = 0; i < 20_000; i++) {
      next.tensors.push({ name: Buffer.from(`x${i}`), dimensions: [0n], type: 0, offset: end, data: new Uint8Array() });
    }
    next.tensorCount = BigInt(next.tensors.length);
  });
}
