// Reads GGUF files for the tests: metadata and tensors as they are in the file. The layout: ggml/include/gguf.h of llama.cpp.
import { readFileSync } from "node:fs";

/** A value with the number of its type (enum gguf_type); an array's is its elements'. */
export interface Field {
  readonly type: number;
  readonly value: unknown;
}

export interface StoredTensor {
  /** Sizes of the dimensions, slowest first. */
  readonly shape: number[];
  /** Number of the type (enum ggml_type). */
  readonly type: number;
  readonly data: Uint8Array;
}

export interface GgufFile {
  readonly version: number;
  readonly metadata: Map<string, Field>;
  readonly tensors: Map<string, StoredTensor>;
}

/** Values and bytes of a block, by enum ggml_type: those that the tests meet. */
const BLOCKS: Record<number, readonly [number, number]> = {
  0: [1, 4], // f32
  1: [1, 2], // f16
  2: [32, 18], // q4_0
  3: [32, 20], // q4_1
  6: [32, 22], // q5_0
  7: [32, 24], // q5_1
  8: [32, 34], // q8_0
  12: [256, 144], // q4_K
  13: [256, 176], // q5_K
  14: [256, 210], // q6_K
  30: [1, 2], // bf16
};

export function readGguf(path: string): GgufFile {
  const file = readFileSync(path);
  const bytes = new Uint8Array(file.buffer, file.byteOffset, file.length); // a Buffer's slice() does not copy
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true }); // a token may be one
  let at = 0;
  const u32 = () => view.getUint32((at += 4) - 4, true);
  const u64 = () => Number(view.getBigUint64((at += 8) - 8, true));
  const text = () => {
    const length = u64();
    return decoder.decode(bytes.subarray(at, at += length));
  };
  const scalars: Record<number, () => unknown> = {
    0: () => view.getUint8(at++),
    4: u32,
    5: () => view.getInt32((at += 4) - 4, true),
    6: () => view.getFloat32((at += 4) - 4, true),
    7: () => view.getUint8(at++) !== 0,
    8: text,
    10: u64,
  };
  const scalar = (type: number) => (scalars[type] ?? (() => unknown("value", type)))();
  const field = (): Field => {
    const type = u32();
    if (type !== 9) return { type, value: scalar(type) };
    const element = u32();
    return { type: element, value: Array.from({ length: u64() }, () => scalar(element)) };
  };

  if (u32() !== 0x46554747) throw new Error(`${path} has not the magic of GGUF`);
  const version = u32(), tensorCount = u64(), fieldCount = u64();
  const metadata = new Map<string, Field>();
  for (let i = 0; i < fieldCount; i++) metadata.set(text(), field());
  const infos = Array.from({ length: tensorCount }, () => {
    const name = text();
    const shape = Array.from({ length: u32() }, u64).reverse();
    return { name, shape, type: u32(), offset: u64() };
  });
  const start = Math.ceil(at / 32) * 32;
  const tensors = infos.map(({ name, shape, type, offset }): [string, StoredTensor] => {
    const [values, size] = BLOCKS[type] ?? unknown("tensor", type);
    const length = shape.reduce((product, n) => product * n, 1) / values * size;
    if (offset % 32 !== 0 || start + offset + length > bytes.length) throw new Error(`${name} of ${path} is misplaced`);
    return [name, { shape, type, data: bytes.subarray(start + offset, start + offset + length) }];
  });
  return { version, metadata, tensors: new Map(tensors) };
}

function unknown(what: string, type: number): never {
  throw new Error(`The test reader does not know ${what} type ${type}`);
}
