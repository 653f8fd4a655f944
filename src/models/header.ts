/** Reads the header of a GGUF file: its metadata and the list of its tensors, without the weights. */
import { LlamaError } from "../../ffi/errors.ts";
import { LONGEST_REASON, printable } from "../check.ts";
import { isMissing, type OpenFile, openFile, partNames } from "../files.ts";
import { forEachInSlices } from "../slices.ts";
import { missingFile, modelPath } from "./find.ts";

/** A value of a file's metadata; whole numbers beyond 2^53 are a bigint. */
export type MetadataValue = string | number | bigint | boolean | readonly MetadataValue[];

/** A tensor as a file's header lists it. */
export interface TensorInfo {
  /** llama.cpp's name of it, such as `blk.0.attn_q.weight`. */
  readonly name: string;
  /** Sizes of the dimensions, slowest first. */
  readonly shape: readonly number[];
  /** ggml's name of the type of its values, such as `q8_0`; `type 99` of one that this version does not know. */
  readonly type: string;
  /** Bytes of its values; undefined where the type is not known. */
  readonly bytes: number | undefined;
}

/** What the header of a model's file says. */
export interface ModelHeader {
  /** The path of the file, of a split model that of its first part. */
  readonly path: string;
  /** Bytes of the file, of a split model of all its parts. */
  readonly size: number;
  /** Version of the format: 2 or 3. */
  readonly version: number;
  /** The metadata by key, in the file's order. */
  readonly metadata: Readonly<Record<string, MetadataValue>>;
  /** The tensors, in the file's order; of a split model those of all parts. */
  readonly tensors: readonly TensorInfo[];
}

/** Names of enum ggml_type, with the values of a block and its bytes: ggml.h and ggml-common.h of the pinned llama.cpp. */
// deno-fmt-ignore
const TYPES: Readonly<Record<number, readonly [name: string, values: number, bytes: number]>> = {
  0: ["f32", 1, 4], 1: ["f16", 1, 2], 2: ["q4_0", 32, 18], 3: ["q4_1", 32, 20], 6: ["q5_0", 32, 22], 7: ["q5_1", 32, 24],
  8: ["q8_0", 32, 34], 9: ["q8_1", 32, 36], 10: ["q2_K", 256, 84], 11: ["q3_K", 256, 110], 12: ["q4_K", 256, 144],
  13: ["q5_K", 256, 176], 14: ["q6_K", 256, 210], 15: ["q8_K", 256, 292], 16: ["iq2_xxs", 256, 66],
  17: ["iq2_xs", 256, 74], 18: ["iq3_xxs", 256, 98], 19: ["iq1_s", 256, 50], 20: ["iq4_nl", 32, 18],
  21: ["iq3_s", 256, 110], 22: ["iq2_s", 256, 82], 23: ["iq4_xs", 256, 136], 24: ["i8", 1, 1], 25: ["i16", 1, 2],
  26: ["i32", 1, 4], 27: ["i64", 1, 8], 28: ["f64", 1, 8], 29: ["iq1_m", 256, 56], 30: ["bf16", 1, 2],
  34: ["tq1_0", 256, 54], 35: ["tq2_0", 256, 66], 39: ["mxfp4", 32, 17], 40: ["nvfp4", 64, 36],
};

const MAGIC = 0x46554747; // "GGUF"
const FIRST_READ = 1 << 20;
/** Bytes that a header may have; of real ones, whose vocabularies are most of it, at most some 30 MB. */
const MOST = 1 << 29;
/** What Llama.load takes, too: ffi/cpp/guard/gguf/header.cpp, MAX_KEYS and the like. Here the elements are those of all lists. */
const MOST_FIELDS = 10_000, MOST_TENSORS = 20_000, MOST_ELEMENTS = 1 << 24;
/** GGML_MAX_DIMS */
const MOST_DIMENSIONS = 4;
/** Value types of enum gguf_type. */
const STRING = 8, ARRAY = 9;
/** Bytes that an element of a list takes by its type, of a text at least; a list of lists is nothing that llama.cpp reads. */
const SIZES: readonly (number | undefined)[] = [1, 1, 2, 2, 4, 4, 4, 1, 8, undefined, 8, 8, 8];

/**
 * Reads the header of a model's file: its metadata and the list of its tensors. The weights are neither read nor checked, and the
 * native library is not needed.
 *
 * @param model A path, a `file:` URL, a name of the catalogue, or `hf:owner/repository/file.gguf[@revision]`, as `resolveModel`
 * takes it.
 * @returns The header; of a split model the metadata of its first part and the tensors of all.
 * @throws {TypeError} when it is no string and no `file:` URL.
 * @throws {RangeError} when it is an `hf:` name of the wrong form.
 * @throws {ModelNotFoundError} when there is no such file; the message has how to get it.
 * @throws {LlamaError} `model-invalid` when it is a directory or no GGUF file, or is cut off in its header.
 * @example
 * ```ts
 * import { readHeader } from "@llamasaur/llamasaur/models";
 *
 * const { metadata, tensors } = await readHeader("models/all-minilm-l6-v2-q8_0.gguf");
 * console.log(metadata["general.architecture"], tensors.length); // bert 101
 * ```
 */
export async function readHeader(model: string | URL): Promise<ModelHeader> {
  const path = modelPath(model);
  const parts: Part[] = [];
  for (const part of partNames(path)) parts.push(await readPart(part)); // a name may claim 99,999
  const { version, metadata } = parts[0]!;
  const size = parts.reduce((sum, part) => sum + part.size, 0);
  return { path, size, version, metadata, tensors: parts.flatMap(({ tensors }) => tensors) };
}

/** What one file says. */
type Part = Omit<ModelHeader, "path">;

async function readPart(path: string): Promise<Part> {
  const file = await openFile(path).catch((error) => {
    throw isMissing(error) ? missingFile(path) : error;
  });
  try {
    const { size } = await file.stat();
    return { size, ...await parse(new Source(file, size)) };
  } catch (error) {
    if (!(error instanceof Unsound)) throw error;
    throw new LlamaError(
      "model-invalid",
      `Cannot read the header of ${printable(path, undefined, LONGEST_REASON)}: ${error.message}; get the file again`,
    );
  } finally {
    await file.close();
  }
}

/** The beginning of a file, which grows: most of a header is the vocabulary, whose length nobody knows before it is read. */
class Source {
  readonly #file: OpenFile;
  readonly #size: number;
  #bytes = new Uint8Array();
  #state: readonly [at: number, elements: number] = [0, 0];

  constructor(file: OpenFile, size: number) {
    this.#file = file;
    this.#size = size;
  }

  /** Reads one thing behind the last; again from its beginning if more bytes are needed, but not what was before. */
  async read<T>(one: (at: Cursor) => T | Promise<T>): Promise<T> {
    for (;;) {
      const at = new Cursor(this.#bytes, ...this.#state);
      try {
        const value = await one(at);
        this.#state = at.state;
        return value;
      } catch (error) {
        if (!(error instanceof Short)) throw error;
        await this.#grow(error.needs);
      }
    }
  }

  async #grow(needs: number): Promise<void> {
    if (needs > this.#size) throw new Unsound("it ends within its header: the file is cut off or damaged");
    if (needs > MOST) throw new Unsound(`its header has more than ${MOST} bytes`);
    const bytes = new Uint8Array(Math.min(Math.max(FIRST_READ, 4 * this.#bytes.length, needs), this.#size, MOST));
    bytes.set(this.#bytes);
    for (let done = this.#bytes.length; done < bytes.length;) {
      const { bytesRead } = await this.#file.read(bytes, done, bytes.length - done, done);
      if (bytesRead === 0) throw new Unsound("it became shorter while it was read");
      done += bytesRead;
    }
    this.#bytes = bytes;
  }
}

/** More bytes are needed than there are: so many from the file's beginning. */
class Short extends Error {
  readonly needs: number;

  constructor(needs: number) {
    super();
    this.needs = needs;
  }
}

/** The file is not what it should be; the message says how. */
class Unsound extends Error {}

function beginning(at: Cursor): { version: number; tensorCount: number; fieldCount: number } {
  if (at.u32() !== MAGIC) throw new Unsound("it is no GGUF file");
  const version = at.u32();
  if (version !== 2 && version !== 3) {
    throw new Unsound(
      version << 24 >> 24 === 0
        ? "it is for machines of the other byte order"
        : `it has version ${version} of the format, and 2 and 3 are known`,
    );
  }
  const [tensorCount, fieldCount] = [at.count(), at.count()];
  if (tensorCount > MOST_TENSORS || fieldCount > MOST_FIELDS) {
    throw new Unsound(
      `it has ${tensorCount} tensors and ${fieldCount} keys, at most ${MOST_TENSORS} and ${MOST_FIELDS} are allowed`,
    );
  }
  return { version, tensorCount, fieldCount };
}

async function parse(source: Source): Promise<Omit<Part, "size">> {
  const { version, tensorCount, fieldCount } = await source.read(beginning);
  const metadata: [string, MetadataValue][] = [];
  for (let i = 0; i < fieldCount; i++) {
    const key = await source.read((at) => at.text());
    metadata.push([key, await source.read((at) => at.field(key))]);
  }
  const tensors: TensorInfo[] = [];
  for (let i = 0; i < tensorCount; i++) tensors.push(await source.read(tensor));
  return { version, metadata: Object.fromEntries(metadata), tensors };
}

function tensor(at: Cursor): TensorInfo {
  const name = at.text();
  const dimensions = at.u32();
  if (dimensions > MOST_DIMENSIONS) throw new Unsound(`a tensor has ${dimensions} dimensions`);
  const shape: number[] = [];
  for (let i = 0; i < dimensions; i++) shape.unshift(at.count());
  const number = at.u32();
  at.skip(8); // the offset of its values
  const [type, values, size] = TYPES[number] ?? [`type ${number}`, 0, 0];
  const bytes = values > 0 ? shape.reduce((product, n) => product * n, 1) / values * size : undefined;
  return { name, shape, type, bytes };
}

/** Reads values one after the other. */
class Cursor {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #utf8 = new TextDecoder("utf-8", { ignoreBOM: true }); // a token may be one
  #at: number;
  #elements: number;
  #key = "";

  /**
   * @param at The first byte that is read.
   * @param elements How many all lists before it had.
   */
  constructor(bytes: Uint8Array, at: number, elements: number) {
    [this.#bytes, this.#at, this.#elements] = [bytes, at, elements];
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** How far it has come. */
  get state(): readonly [at: number, elements: number] {
    return [this.#at, this.#elements];
  }

  skip(length: number): number {
    const at = this.#at;
    this.#need(length);
    this.#at = at + length;
    return at;
  }

  #need(length: number): void {
    if (this.#at + length > this.#bytes.length) throw new Short(this.#at + length);
  }

  u32(): number {
    return this.#view.getUint32(this.skip(4), true);
  }

  /** A 64-bit number that counts something. */
  count(): number {
    const value = this.#view.getBigUint64(this.skip(8), true);
    if (value > Number.MAX_SAFE_INTEGER) throw new Unsound(`it counts ${value} of something`);
    return Number(value);
  }

  text(): string {
    const length = this.count();
    const at = this.skip(length);
    return this.#utf8.decode(this.#bytes.subarray(at, at + length));
  }

  /** The value of a key; other work runs between the elements of a long list. */
  async field(key: string): Promise<MetadataValue> {
    const type = this.u32();
    if (type !== ARRAY) return this.#value(type);
    const [elements, length] = [this.u32(), this.count()];
    if (length > MOST_ELEMENTS) {
      throw new Unsound(`the key ${JSON.stringify(key)} has ${length} elements, at most ${MOST_ELEMENTS} are allowed`);
    }
    this.#elements += length;
    if (this.#elements > MOST_ELEMENTS) {
      throw new Unsound(`its lists have ${this.#elements} elements and more, at most ${MOST_ELEMENTS} are allowed`);
    }
    const size = SIZES[elements];
    if (size === undefined) throw unknownType(elements);
    this.#need(length * size); // before any of them is made
    const list: MetadataValue[] = [];
    await forEachInSlices(length, () => void list.push(this.#value(elements)));
    return list;
  }

  #value(type: number): MetadataValue {
    if (type === STRING) return this.text();
    const view = this.#view;
    switch (type) {
      case 0:
        return view.getUint8(this.skip(1));
      case 1:
        return view.getInt8(this.skip(1));
      case 2:
        return view.getUint16(this.skip(2), true);
      case 3:
        return view.getInt16(this.skip(2), true);
      case 4:
        return this.u32();
      case 5:
        return view.getInt32(this.skip(4), true);
      case 6:
        return view.getFloat32(this.skip(4), true);
      case 7:
        return view.getUint8(this.skip(1)) !== 0;
      case 10:
        return whole(view.getBigUint64(this.skip(8), true));
      case 11:
        return whole(view.getBigInt64(this.skip(8), true));
      case 12:
        return view.getFloat64(this.skip(8), true);
    }
    throw unknownType(type);
  }
}

function unknownType(type: number): Unsound {
  return new Unsound(`a value of its metadata has the type ${type}, which the format does not know`);
}

function whole(value: bigint): number | bigint {
  return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
}
