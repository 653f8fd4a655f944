/** Reads one file out of a .tgz, so that a machine without tar can build too. */
import { gunzipSync } from "node:zlib";

const BLOCK = 512;

/**
 * The bytes of one entry of a gzipped tar archive, or undefined when it has none of that name.
 * Headers are those of POSIX ustar (https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html).
 */
export function readTarEntry(archive: Uint8Array, name: string): Uint8Array | undefined {
  const tar = gunzipSync(archive);
  for (let at = 0; at + BLOCK <= tar.length && tar[at] !== 0;) {
    const size = parseInt(field(tar, at + 124, 12), 8);
    if (!(size >= 0)) return undefined; // no number, or one that leads back
    const prefix = field(tar, at + 345, 155);
    const entry = (prefix && `${prefix}/`) + field(tar, at, 100);
    if (entry === name) return tar.subarray(at + BLOCK, at + BLOCK + size);
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
  }
  return undefined;
}

function field(tar: Uint8Array, at: number, length: number): string {
  const bytes = tar.subarray(at, at + length);
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end)).trim();
}
