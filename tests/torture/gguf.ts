// GGUF files taken apart so that every field can be made wrong, and put together again without any check.
// The format: ggml/include/gguf.h of llama.cpp.
import { Buffer } from "node:buffer";

/** Numbers of enum gguf_type. */
export const TYPE = {
  u8: 0,
  i8: 1,
  u16: 2,
  i16: 3,
  u32: 4,
  i32: 5,
  f32: 6,
  bool: 7,
  string: 8,
  array: 9,
  u64: 10,
  i64: 11,
  f64: 12,
} as const;
const SIZES: Readonly<Record<number, number>> = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 };

/** A metadata value: the number of its type, and its bytes as they are in the file (an array's with type and length). */
export interface Value {
  readonly type: number;
  readonly bytes: Uint8Array;
}

export interface Entry {
  key: Uint8Array;
  value: Value;
}

export interface Tensor {
  name: Uint8Array;
  /** As in the file: fastest first. */
  dimensions: bigint[];
  /** Number of enum ggml_type. */
  type: number;
  offset: bigint;
  data: Uint8Array;
}

/** A file in its parts. The counts are written as they are, whatever there really is. */
export interface Gguf {
  magic: number;
  version: number;
  entryCount: bigint;
  tensorCount: bigint;
  entries: Entry[];
  tensors: Tensor[];
  alignment: number;
}

const MAGIC = 0x46554747;
const text = (value: string): Uint8Array => new TextEncoder().encode(value);

export function u32(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}
export function u64(value: bigint | number): Uint8Array {
  return new Uint8Array(BigUint64Array.of(BigInt.asUintN(64, BigInt(value))).buffer);
}
function sized(bytes: Uint8Array): Uint8Array {
  return Buffer.concat([u64(bytes.length), bytes]);
}

/** A value of each kind, encoded. */
export const value = {
  u32: (n: number): Value => ({ type: TYPE.u32, bytes: u32(n) }),
  i32: (n: number): Value => ({ type: TYPE.i32, bytes: new Uint8Array(Int32Array.of(n).buffer) }),
  u64: (n: bigint): Value => ({ type: TYPE.u64, bytes: u64(n) }),
  f32: (n: number): Value => ({ type: TYPE.f32, bytes: new Uint8Array(Float32Array.of(n).buffer) }),
  bool: (n: number): Value => ({ type: TYPE.bool, bytes: Uint8Array.of(n) }),
  string: (s: string | Uint8Array): Value => ({ type: TYPE.string, bytes: sized(typeof s === "string" ? text(s) : s) }),
  strings: (list: readonly (string | Uint8Array)[], length: bigint | number = list.length): Value => ({
    type: TYPE.array,
    bytes: Buffer.concat([
      u32(TYPE.string),
      u64(length),
      ...list.map((s) => sized(typeof s === "string" ? text(s) : s)),
    ]),
  }),
  i32s: (list: readonly number[]): Value => ({
    type: TYPE.array,
    bytes: Buffer.concat([u32(TYPE.i32), u64(list.length), new Uint8Array(Int32Array.from(list).buffer)]),
  }),
  f32s: (list: readonly number[]): Value => ({
    type: TYPE.array,
    bytes: Buffer.concat([u32(TYPE.f32), u64(list.length), new Uint8Array(Float32Array.from(list).buffer)]),
  }),
  /** An array that says anything of itself. */
  array: (element: number, length: bigint | number, bytes: Uint8Array = new Uint8Array()): Value => ({
    type: TYPE.array,
    bytes: Buffer.concat([u32(element), u64(length), bytes]),
  }),
} as const;

/** Takes a sound file apart. */
export function parse(file: Uint8Array): Gguf {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  let at = 0;
  const int = (): number => view.getUint32((at += 4) - 4, true);
  const long = (): bigint => view.getBigUint64((at += 8) - 8, true);
  const take = (size: number): Uint8Array => file.slice(at, at += size);
  const skip = (type: number): void => {
    at += type === TYPE.string ? 8 + Number(view.getBigUint64(at, true)) : SIZES[type]!;
  };
  const entry = (): Entry => {
    const key = take(Number(long()));
    const type = int();
    const start = at;
    if (type !== TYPE.array) skip(type);
    else for (let element = int(), left = Number(long()); left > 0; left--) skip(element);
    return { key, value: { type, bytes: file.slice(start, at) } };
  };
  const magic = int(), version = int(), tensorCount = long(), entryCount = long();
  const entries = Array.from({ length: Number(entryCount) }, entry);
  const tensors = Array.from({ length: Number(tensorCount) }, (): Tensor => {
    const name = take(Number(long()));
    const dimensions = Array.from({ length: int() }, long);
    return { name, dimensions, type: int(), offset: long(), data: new Uint8Array() };
  });
  const alignment = 32;
  const start = Math.ceil(at / alignment) * alignment;
  tensors.forEach((tensor, i) => {
    const end = tensors[i + 1]?.offset ?? BigInt(file.length - start);
    tensor.data = file.slice(start + Number(tensor.offset), start + Number(end));
  });
  return { magic, version, entryCount, tensorCount, entries, tensors, alignment };
}

/** A file with these parts, counts and offsets right. */
export function build(entries: readonly [string, Value][], tensors: readonly [string, number[], Float32Array][]): Gguf {
  let offset = 0n;
  return {
    magic: MAGIC,
    version: 3,
    entryCount: BigInt(entries.length),
    tensorCount: BigInt(tensors.length),
    entries: entries.map(([key, value]) => ({ key: text(key), value })),
    tensors: tensors.map(([name, dimensions, floats]) => {
      const data = new Uint8Array(Math.ceil(floats.byteLength / 32) * 32);
      data.set(new Uint8Array(floats.buffer, floats.byteOffset, floats.byteLength));
      const tensor = { name: text(name), dimensions: dimensions.map(BigInt), type: 0, offset, data };
      offset += BigInt(data.length);
      return tensor;
    }),
    alignment: 32,
  };
}

/** The parts of a file one behind the other, and where each begins and ends. */
export function pieces({ magic, version, entryCount, tensorCount, entries, tensors, alignment }: Gguf): Uint8Array[] {
  const header = [
    Buffer.concat([u32(magic), u32(version), u64(tensorCount), u64(entryCount)]),
    ...entries.map(({ key, value }) => Buffer.concat([sized(key), u32(value.type), value.bytes])),
    ...tensors.map(({ name, dimensions, type, offset }) =>
      Buffer.concat([sized(name), u32(dimensions.length), ...dimensions.map(u64), u32(type), u64(offset)])
    ),
  ];
  const size = header.reduce((sum, { length }) => sum + length, 0);
  return [...header, new Uint8Array((alignment - size % alignment) % alignment), ...tensors.map(({ data }) => data)];
}

/** The bytes of a file. */
export function serialise(gguf: Gguf): Uint8Array {
  return Buffer.concat(pieces(gguf));
}

/** A copy whose lists may be changed. */
export function copy(gguf: Gguf): Gguf {
  return {
    ...gguf,
    entries: gguf.entries.map((entry) => ({ ...entry })),
    tensors: gguf.tensors.map((tensor) => ({ ...tensor, dimensions: [...tensor.dimensions] })),
  };
}

/** Sets, adds or (with undefined) removes a key. */
export function setKey(gguf: Gguf, key: string, value: Value | undefined): Gguf {
  const next = copy(gguf);
  const bytes = text(key);
  const at = next.entries.findIndex((entry) => Buffer.from(entry.key).equals(bytes));
  if (value === undefined) next.entries.splice(at, at < 0 ? 0 : 1);
  else if (at < 0) next.entries.push({ key: bytes, value });
  else next.entries[at] = { key: bytes, value };
  next.entryCount = BigInt(next.entries.length);
  return next;
}
