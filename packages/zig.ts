/** Gets zig, which brings a C++ compiler and the C library of every platform. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { exists } from "../build/workspace.ts";
import { getFolder, unpackWheel } from "./fetch.ts";

/** The release that packages are made with, and the digest of its wheel for Linux on x64, where packages are made. */
export const ZIG_VERSION = "0.17.1";
const SHA256 = "ea6cc5d87b033cf0aedfbc8f9549a908cae6c50ac31f1698188fa48a74524b54";

/** A folder with zig in it. */
export interface Zig {
  readonly program: string;
  /** Its files: headers, and the sources of libc++ and of what goes into a library besides. */
  readonly lib: string;
}

/**
 * Zig from the cache, fetched first if it is not there.
 *
 * @throws {BuildError} There is no pip, or no package index, or another wheel than the known one.
 */
export async function getZig(cache: string, say: (line: string) => void, signal?: AbortSignal): Promise<Zig> {
  const wheel = createHash("sha256").update(SHA256).digest("hex").slice(0, 8);
  const folder = join(cache, "zig", `${ZIG_VERSION}-${wheel}`);
  const zig: Zig = { program: join(folder, "ziglang", "zig"), lib: join(folder, "ziglang", "lib") };
  if (await exists(zig.program)) return zig;
  say(`getting zig ${ZIG_VERSION} from PyPI (100 MB)`);
  await getFolder(folder, (temporary) => unpackWheel(`ziglang==${ZIG_VERSION}`, SHA256, temporary, signal));
  return zig;
}
