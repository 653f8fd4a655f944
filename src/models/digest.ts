/** Hashes files as the hub names their bytes: by sha256, or small ones by git's sha1. */
import { createHash } from "node:crypto";
import { openFile } from "../files.ts";

/** What is used of Node's `Hash`: npm's declarations may not name that, since users may lack its types. */
export interface Hash {
  update(data: string | Uint8Array): Hash;
  digest(encoding: "hex"): string;
}

/**
 * A hash of the kind that a digest is of: 64 hex digits are a sha256, 40 are git's, which hashes a file behind its kind and size
 * (https://git-scm.com/book/en/v2/Git-Internals-Git-Objects).
 *
 * @param size Bytes of the file.
 */
export function hashLike(digest: string, size: number): Hash {
  return digest.length === 64 ? createHash("sha256") : createHash("sha1").update(`blob ${size}\0`);
}

/** The digest of a file's bytes, in hex. */
export async function digestOf(
  path: string,
  hash: Hash,
  { signal, onBytes }: { readonly signal?: AbortSignal | undefined; readonly onBytes?: (count: number) => void } = {},
): Promise<string> {
  const file = await openFile(path);
  try {
    for (const buffer = new Uint8Array(1 << 20);;) {
      signal?.throwIfAborted();
      const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
      if (bytesRead === 0) return hash.digest("hex");
      hash.update(buffer.subarray(0, bytesRead));
      onBytes?.(bytesRead);
    }
  } finally {
    await file.close();
  }
}
