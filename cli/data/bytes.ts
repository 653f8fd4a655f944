/** Reads the bytes of an input, unpacked, and hashes them as far as rows of them were taken. */
import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import process from "node:process";
import type { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { Failure } from "../failure.ts";
import { shown } from "../quote.ts";

// The rows of a chunk are in memory together: short ones are a thousand and more.
const CHUNK = 1 << 16;

/** Where bytes come from. */
export interface ByteSource {
  /** A path, or `-` for stdin. */
  readonly path: string;
  readonly gzip: boolean;
}

/**
 * The bytes of an input from its beginning.
 *
 * @param onPacked Told how many bytes of a packed file were unpacked so far.
 */
export async function* bytesOf(
  { path, gzip }: ByteSource,
  onPacked?: (count: number) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    if (path === "-") yield* gzip ? unpacked(process.stdin) : process.stdin as AsyncIterable<Uint8Array>;
    else if (gzip) yield* unpacked(createReadStream(path, { highWaterMark: CHUNK }), onPacked);
    else yield* fileBytes(path);
  } catch (error) {
    const { code = "", message } = error as NodeJS.ErrnoException;
    const why = code.startsWith("Z_") ? `it is packed wrongly, or cut off (${message})` : message;
    throw new Failure(`Cannot read ${shown(path)}: ${why}`, undefined, { cause: error });
  }
}

async function* fileBytes(path: string): AsyncGenerator<Uint8Array, void, undefined> {
  const file = await open(path, "r");
  try {
    for (;;) {
      const { bytesRead, buffer } = await file.read(new Uint8Array(CHUNK), 0, CHUNK, null); // a pipe has no positions
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

async function* unpacked(
  stream: Readable,
  onPacked?: (count: number) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  const gunzip = createGunzip();
  stream.on("error", (error) => gunzip.destroy(error));
  try {
    for await (const chunk of stream.pipe(gunzip) as AsyncIterable<Uint8Array>) {
      onPacked?.(gunzip.bytesWritten); // what was read may be far ahead of it
      yield chunk;
    }
  } finally {
    stream.destroy(); // also where only its head was wanted
  }
}

/** The sha256 of an input's beginning, as far as one asks: it keeps what was read and not yet asked for. */
export class Digest {
  /** Bytes that were read. */
  size = 0;
  /** Bytes of a packed file that they were in. */
  packed = 0;
  readonly #hash: Hash = createHash("sha256");
  readonly #onAdd: ((count: number) => void) | undefined;
  #hashed = 0;
  #chunks: Uint8Array[] = [];

  /** @param onAdd Told how many bytes were read, as they are. */
  constructor(onAdd?: (count: number) => void) {
    this.#onAdd = onAdd;
  }

  /** Takes bytes as they are read. */
  add(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.size += chunk.length;
    this.#onAdd?.(chunk.length);
  }

  /** The hash of the first `offset` bytes; offsets of calls do not fall. */
  at(offset: number): string {
    this.advance(offset);
    return this.#hash.copy().digest("hex");
  }

  /** Says that nobody will ask for fewer bytes: these need not be kept. */
  advance(offset: number): void {
    while (this.#chunks.length > 0 && this.#hashed < offset) {
      const chunk = this.#chunks[0]!;
      const count = Math.min(chunk.length, offset - this.#hashed);
      this.#hash.update(chunk.subarray(0, count));
      this.#hashed += count;
      if (count === chunk.length) this.#chunks.shift();
      else this.#chunks[0] = chunk.subarray(count);
    }
  }
}

/** An input is no longer what was read of it. */
export function changed(path: string, before: string, now: string): Failure {
  return new Failure(
    `Cannot go on: what was read of ${shown(path)} has changed (it was ${before}, it is ${now}); --restart begins anew`,
  );
}

/** The bytes of an input, each chunk added to a digest as it passes. */
export async function* digested(input: ByteSource, digest: Digest): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of bytesOf(input, (count) => void (digest.packed = count))) {
    digest.add(chunk);
    yield chunk;
  }
}
