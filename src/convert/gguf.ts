/**
 * Writing GGUF files of version 3 with f32 tensors.
 *
 * The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md and ggml/include/gguf.h of the pinned llama.cpp.
 * Every other tensor type is made from such a file by llama.cpp itself (`quantize`).
 */
import { type FileHandle, open } from "node:fs/promises";
import { replaceFile, writing } from "../files.ts";

/** A value of the metadata, under the name of its type: `{ u32: 12 }`, `{ strings: ["a", "b"] }`. */
export type GgufValue =
  | { readonly u32: number }
  | { readonly i32s: readonly number[] }
  | { readonly u8s: Uint8Array }
  | { readonly f32: number }
  | { readonly f32s: readonly number[] }
  | { readonly bool: boolean }
  | { readonly string: string }
  | { readonly strings: readonly string[] };

/** The metadata in the order in which it is written. */
export type GgufMetadata = ReadonlyMap<string, GgufValue>;

/** An f32 tensor to be written. */
export interface GgufTensor {
  /** Name that llama.cpp looks for, at most 63 bytes. */
  readonly name: string;
  /** Sizes of the dimensions, slowest first (as PyTorch and safetensors have them), at most four. */
  readonly shape: readonly number[];
  /** Yields the values in order, in arrays of any length. */
  readonly floats: () => AsyncIterable<Float32Array<ArrayBuffer>>;
}

/** "GGUF" */
const MAGIC = 0x46554747;
const VERSION = 3;

/** GGUF_DEFAULT_ALIGNMENT: where the data of a tensor may begin. */
const ALIGNMENT = 32;

/** GGML_MAX_NAME, which counts the byte 0 at the end, and GGML_MAX_DIMS. */
const MAX_NAME_BYTES = 63;
const MAX_DIMENSIONS = 4;

/** Value types of enum gguf_type, and GGML_TYPE_F32 of enum ggml_type. Both are numbers of the file format. */
const U8 = 0, U32 = 4, I32 = 5, F32 = 6, BOOL = 7, STRING = 8, ARRAY = 9;
const TENSOR_F32 = 0;

/**
 * Writes a GGUF file, which appears under its name only when it is whole.
 *
 * @param path Path of the file; one that is there is replaced.
 * @param metadata The metadata, in order.
 * @param tensors The tensors, in order; their values are asked for one tensor at a time.
 * @param options `signal` stops between two pieces of a tensor; `onProgress` is told the share done, 0 to 1.
 * @throws {RangeError} If a tensor does not fit the format or yields another number of values than its shape says.
 */
export async function writeGguf(
  path: string,
  metadata: GgufMetadata,
  tensors: readonly GgufTensor[],
  options: { signal?: AbortSignal | undefined; onProgress?: ((done: number) => void) | undefined } = {},
): Promise<void> {
  const header = encodeHeader(metadata, tensors);
  const total = tensors.reduce((sum, tensor) => sum + byteLength(tensor), 0);
  let written = 0;
  await replaceFile(path, async (temporary) => {
    const file = await writing(path, () => open(temporary, "wx"));
    const write = (bytes: Uint8Array<ArrayBuffer>) => writing(path, () => writeAll(file, bytes));
    try {
      await write(header);
      for (const tensor of tensors) {
        const end = written + byteLength(tensor);
        for await (const values of tensor.floats()) {
          options.signal?.throwIfAborted();
          await write(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
          written += values.byteLength;
          options.onProgress?.(written / total);
          options.signal?.throwIfAborted(); // in onProgress, of the last piece too
        }
        if (written !== end) {
          const values = (byteLength(tensor) + written - end) / 4;
          throw new RangeError(`Tensor ${tensor.name} of shape [${tensor.shape}] has ${values} values`);
        }
        await write(new Uint8Array(padding(byteLength(tensor))));
      }
    } finally {
      await file.close();
    }
  });
}

/**
 * Encodes everything that comes before the data of the tensors.
 *
 * @param metadata The metadata, in order.
 * @param tensors The tensors, in order.
 * @returns The bytes, a multiple of the alignment.
 * @throws {RangeError} If a tensor does not fit the format.
 */
export function encodeHeader(metadata: GgufMetadata, tensors: readonly GgufTensor[]): Uint8Array<ArrayBuffer> {
  const out = new Encoder().u32(MAGIC).u32(VERSION).u64(tensors.length).u64(metadata.size);
  for (const [key, value] of metadata) encodeValue(out.string(key), value);
  const names = new Set<string>();
  let offset = 0;
  for (const tensor of tensors) {
    const { name, shape } = tensor;
    const bytes = new TextEncoder().encode(name).length;
    if (bytes > MAX_NAME_BYTES) {
      throw new RangeError(`Tensor name "${name}" has ${bytes} bytes, at most ${MAX_NAME_BYTES} are allowed`);
    }
    if (shape.length > MAX_DIMENSIONS) {
      throw new RangeError(`Tensor ${name} has ${shape.length} dimensions, at most ${MAX_DIMENSIONS} are allowed`);
    }
    if (names.has(name)) throw new RangeError(`Tensor ${name} is there twice`);
    names.add(name);
    out.string(name).u32(shape.length);
    for (const n of shape.toReversed()) out.u64(n);
    out.u32(TENSOR_F32).u64(offset);
    offset += byteLength(tensor) + padding(byteLength(tensor));
  }
  return out.align(ALIGNMENT).bytes();
}

function encodeValue(out: Encoder, value: GgufValue): void {
  if ("u32" in value) out.u32(U32).u32(value.u32);
  else if ("f32" in value) out.u32(F32).f32(value.f32);
  else if ("bool" in value) out.u32(BOOL).u8(value.bool ? 1 : 0);
  else if ("string" in value) out.u32(STRING).string(value.string);
  else if ("i32s" in value) {
    out.u32(ARRAY).u32(I32).u64(value.i32s.length);
    for (const n of value.i32s) out.i32(n);
  } else if ("f32s" in value) {
    out.u32(ARRAY).u32(F32).u64(value.f32s.length);
    for (const n of value.f32s) out.f32(n);
  } else if ("u8s" in value) {
    out.u32(ARRAY).u32(U8).u64(value.u8s.length).raw(value.u8s);
  } else {
    out.u32(ARRAY).u32(STRING).u64(value.strings.length);
    for (const text of value.strings) out.string(text);
  }
}

function byteLength(tensor: GgufTensor): number {
  return tensor.shape.reduce((product, n) => product * n, 4);
}

function padding(bytes: number): number {
  return (ALIGNMENT - bytes % ALIGNMENT) % ALIGNMENT;
}

async function writeAll(file: FileHandle, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    done += (await file.write(bytes, done, bytes.length - done)).bytesWritten;
  }
}

/** Little-endian numbers and strings, one after the other, in a buffer that grows. */
class Encoder {
  readonly #utf8 = new TextEncoder();
  #view = new DataView(new ArrayBuffer(1 << 16));
  #length = 0;

  u8(value: number): this {
    const at = this.#grow(1);
    this.#view.setUint8(at, value);
    return this;
  }

  u32(value: number): this {
    const at = this.#grow(4);
    this.#view.setUint32(at, value, true);
    return this;
  }

  i32(value: number): this {
    const at = this.#grow(4);
    this.#view.setInt32(at, value, true);
    return this;
  }

  u64(value: number): this {
    const at = this.#grow(8);
    this.#view.setBigUint64(at, BigInt(value), true);
    return this;
  }

  f32(value: number): this {
    const at = this.#grow(4);
    this.#view.setFloat32(at, value, true);
    return this;
  }

  /** Length in bytes, then the UTF-8. */
  string(text: string): this {
    const utf8 = this.#utf8.encode(text);
    return this.u64(utf8.length).raw(utf8);
  }

  raw(bytes: Uint8Array): this {
    const at = this.#grow(bytes.length);
    new Uint8Array(this.#view.buffer).set(bytes, at);
    return this;
  }

  align(alignment: number): this {
    this.#grow((alignment - this.#length % alignment) % alignment);
    return this;
  }

  bytes(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#view.buffer, 0, this.#length);
  }

  /** Makes room for `bytes` more, zeroed, and returns where they begin. */
  #grow(bytes: number): number {
    const start = this.#length;
    this.#length += bytes;
    if (this.#length > this.#view.byteLength) {
      const larger = new Uint8Array(Math.max(this.#length, 2 * this.#view.byteLength));
      larger.set(new Uint8Array(this.#view.buffer, 0, start));
      this.#view = new DataView(larger.buffer);
    }
    return start;
  }
}
