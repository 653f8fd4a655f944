/**
 * Reading checkpoints in the safetensors format: where each tensor lies, and its values as f32.
 *
 * A file is a u64 header length, that many bytes of JSON, and the data the JSON points into
 * (https://github.com/huggingface/safetensors#format). Files come from strangers, so nothing in the header is believed
 * before it is checked against the size of the file.
 */
import { join } from "node:path";
import { LlamaError } from "../../ffi/errors.ts";
import { LONGEST_REASON, printable } from "../check.ts";
import { type OpenFile, openFile } from "../files.ts";
import { Config } from "./config.ts";

/** One tensor of a checkpoint: its shape, and the bytes of the file that hold it. */
export interface Tensor {
  /** Name in the checkpoint, such as `"encoder.layer.0.output.dense.weight"`. */
  readonly name: string;
  /** Element type as the file spells it, such as `"F32"`. */
  readonly dtype: string;
  /** Sizes of the dimensions, slowest first; empty for a scalar. */
  readonly shape: readonly number[];
  /** Path of the file that holds the data. */
  readonly file: string;
  /** First byte of the data in the file. */
  readonly offset: number;
  /** Number of bytes of data. */
  readonly bytes: number;
  /** Which file it was when the header was read: another one may be there by the same name when the data is. */
  readonly stamp: string;
}

/** The limit of the reference implementation (safetensors/src/tensor.rs, MAX_HEADER_SIZE), far above any real header. */
const MAX_HEADER_BYTES = 100_000_000;

/** Bytes an element takes. Types not listed may be in a file, but their size cannot be checked nor their values read. */
const ELEMENT_BYTES: ReadonlyMap<string, number> = new Map([
  ["BOOL", 1],
  ["U8", 1],
  ["I8", 1],
  ["U16", 2],
  ["I16", 2],
  ["F16", 2],
  ["BF16", 2],
  ["U32", 4],
  ["I32", 4],
  ["F32", 4],
  ["U64", 8],
  ["I64", 8],
  ["F64", 8],
]);

/** Large enough to read fast, small enough that a 90 MB tensor is never whole in memory. A multiple of every element. */
const CHUNK_BYTES = 1 << 22;

/**
 * Lists the tensors of a checkpoint directory: those of `model.safetensors`, or of the files that
 * `model.safetensors.index.json` names.
 *
 * @param directory Path of the directory.
 * @returns The tensors by name.
 * @throws {LlamaError} With code `"model-invalid"` if a file is missing, damaged or not what it should be.
 */
export async function readCheckpoint(directory: string): Promise<Map<string, Tensor>> {
  const single = join(directory, "model.safetensors");
  try {
    return await readTensors(single);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  const tensors = new Map<string, Tensor>();
  for (const file of await readIndex(directory)) {
    for (const [name, tensor] of await readTensors(join(directory, file))) {
      if (tensors.has(name)) invalid(tensor.file, `${name} is in another file of the checkpoint too`);
      tensors.set(name, tensor);
    }
  }
  return tensors;
}

/**
 * Lists the tensors of one safetensors file.
 *
 * @param file Path of the file.
 * @returns The tensors by name.
 * @throws {LlamaError} With code `"model-invalid"` if the header does not fit the file.
 */
export async function readTensors(file: string): Promise<Map<string, Tensor>> {
  const handle = await openFile(file);
  try {
    const { stamp, size } = await identify(handle);
    if (size < 8) invalid(file, `it has ${size} bytes, and the header alone takes more`);
    const first = await readExactly(handle, file, 0, 8);
    const length = Number(new DataView(first.buffer).getBigUint64(0, true));
    if (length > MAX_HEADER_BYTES) {
      invalid(file, `a header of ${length} bytes is over the limit of ${MAX_HEADER_BYTES}: it is something else`);
    }
    if (length > size - 8) invalid(file, `its header has ${length} bytes, the file only ${size}: it is cut off`);
    const header = parseHeader(await readExactly(handle, file, 8, length), file);
    return tableOf(header, { file, stamp, start: 8 + length, size: size - 8 - length });
  } finally {
    await handle.close();
  }
}

/**
 * Reads the values of a tensor, a few megabytes at a time.
 *
 * @param tensor A tensor of type F32, F16 or BF16.
 * @returns Its values in order, in arrays of any length.
 * @throws {LlamaError} With code `"model-unsupported"` for another type, `"model-invalid"` if the file was changed since its
 * header was read.
 */
export async function* floats(tensor: Tensor): AsyncGenerator<Float32Array<ArrayBuffer>, void> {
  checkFloat(tensor);
  const handle = await openFile(tensor.file);
  try {
    await checkStamp(handle, tensor);
    for (let at = 0; at < tensor.bytes; at += CHUNK_BYTES) {
      const length = Math.min(CHUNK_BYTES, tensor.bytes - at);
      const bytes = await readExactly(handle, tensor.file, tensor.offset + at, length);
      await checkStamp(handle, tensor); // after the bytes were read: they are what the header described
      yield widen(bytes, tensor.dtype);
    }
  } finally {
    await handle.close();
  }
}

/** A file's size, and what it is told from another one by, and from itself after it was written to. */
async function identify(handle: OpenFile): Promise<{ readonly stamp: string; readonly size: number }> {
  const { dev, ino, size, mtimeNs } = await handle.stat({ bigint: true });
  return { stamp: `${dev}:${ino}:${size}:${mtimeNs}`, size: Number(size) };
}

async function checkStamp(handle: OpenFile, { file, stamp }: Tensor): Promise<void> {
  if ((await identify(handle)).stamp !== stamp) {
    invalid(file, "it was changed while it was converted: convert it again");
  }
}

/**
 * Checks that `floats` can read a tensor.
 *
 * @throws {LlamaError} With code `"model-unsupported"` if its type is not F32, F16 or BF16.
 */
export function checkFloat(tensor: Tensor): void {
  if (["F32", "F16", "BF16"].includes(tensor.dtype)) return;
  throw new LlamaError(
    "model-unsupported",
    `${tensor.file}: ${tensor.name} has type ${tensor.dtype}, and only F32, F16 and BF16 can be converted: ` +
      "save the checkpoint with one of these types",
  );
}

/** Every F16 and BF16 value is an f32 value: widening is exact. */
function widen(bytes: Uint8Array<ArrayBuffer>, dtype: string): Float32Array<ArrayBuffer> {
  if (dtype === "F32") return new Float32Array(bytes.buffer);
  if (dtype === "F16") return new Float32Array(new Float16Array(bytes.buffer));
  // BF16 is the upper half of an f32.
  const halves = new Uint16Array(bytes.buffer);
  const words = new Uint32Array(halves.length);
  for (let i = 0; i < halves.length; i++) words[i] = halves[i]! << 16;
  return new Float32Array(words.buffer);
}

function parseHeader(bytes: Uint8Array, file: string): Record<string, unknown> {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    invalid(file, "its header is not JSON: it is not a safetensors file", cause);
  }
  if (!isRecord(header)) invalid(file, "its header is not a JSON object: it is not a safetensors file");
  return header;
}

/** Where the data of a file begins, and how much there is. */
interface Data extends Pick<Tensor, "file" | "stamp"> {
  readonly start: number;
  readonly size: number;
}

function tableOf(header: Record<string, unknown>, data: Data): Map<string, Tensor> {
  const { file, start, size } = data;
  const tensors: Tensor[] = [];
  for (const [name, entry] of Object.entries(header)) {
    if (name !== "__metadata__") tensors.push(tensorOf(name, entry, data));
  }
  // "The byte buffer needs to be entirely indexed, and cannot contain holes": anything else is damage or a smuggled payload.
  let end = start;
  for (const tensor of tensors.toSorted((a, b) => a.offset - b.offset || a.bytes - b.bytes)) {
    if (tensor.offset !== end) {
      invalid(file, `${tensor.name} begins at byte ${tensor.offset}, and the one before it ends at ${end}`);
    }
    end += tensor.bytes;
  }
  if (end !== start + size) invalid(file, `its tensors end at byte ${end}, the file at ${start + size}`);
  return new Map(tensors.map((tensor) => [tensor.name, tensor]));
}

function tensorOf(name: string, entry: unknown, { file, stamp, start, size }: Data): Tensor {
  if (!isRecord(entry)) invalid(file, `${name} is not described by an object`);
  const { dtype, shape, data_offsets: offsets } = entry;
  if (typeof dtype !== "string") invalid(file, `dtype of ${name} is not a string`);
  if (!isCounts(shape)) invalid(file, `shape of ${name} is not a list of whole numbers`);
  if (!isCounts(offsets) || offsets.length !== 2) invalid(file, `data_offsets of ${name} are not two whole numbers`);
  const [begin, end] = offsets as [number, number];
  if (begin > end || end > size) {
    invalid(
      file,
      `data_offsets of ${name} are ${begin} to ${end}, and the file has ${size} bytes of data: it is cut off`,
    );
  }
  const width = ELEMENT_BYTES.get(dtype);
  const expected = width === undefined ? undefined : shape.reduce((product, n) => product * n, width);
  if (expected !== undefined && expected !== end - begin) {
    invalid(file, `${name} of type ${dtype} and shape [${shape}] takes ${expected} bytes, and has ${end - begin}`);
  }
  return { name, dtype, shape, file, offset: start + begin, bytes: end - begin, stamp };
}

/** The files a sharded checkpoint consists of, each a plain name in the same directory. */
async function readIndex(directory: string): Promise<Set<string>> {
  const index = await Config.find(directory, "model.safetensors.index.json");
  if (index === undefined) {
    invalid(
      join(directory, "model.safetensors"),
      "there is no such file: of weights only safetensors are read; " +
        "save a checkpoint of another kind with save_pretrained(directory, safe_serialization=True) in Python",
    );
  }
  const map = index.object("weight_map") ?? index.invalid("weight_map is missing");
  const files = new Set<string>();
  for (const tensor of map.keys()) {
    const file = map.text(tensor) ?? "";
    // A name with a path in it would read files outside of the checkpoint.
    if (!/^[\w.-]+\.safetensors$/.test(file)) map.invalid(`"${file}" is not the name of a safetensors file`);
    files.add(file);
  }
  return files;
}

async function readExactly(
  handle: OpenFile,
  file: string,
  position: number,
  length: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length;) {
    const { bytesRead } = await handle.read(bytes, done, length - done, position + done);
    if (bytesRead === 0) invalid(file, `it ends at byte ${position + done} while it is read`);
    done += bytesRead;
  }
  return bytes;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);
}

function invalid(file: string, reason: string, cause?: unknown): never {
  const words = printable(reason, undefined, LONGEST_REASON);
  throw new LlamaError("model-invalid", `${file} cannot be read: ${words}`, { cause });
}
