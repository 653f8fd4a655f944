/** Gets zig, which brings a C++ compiler and the C library of every platform. */
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { BuildError } from "../build/failure.ts";
import { run } from "../build/run.ts";
import { exists } from "../build/workspace.ts";

/** The release that packages are made with: PyPI has it, with the digests of its wheels. */
export const ZIG_VERSION = "0.17.1";
const DIGESTS = [
  "ea6cc5d87b033cf0aedfbc8f9549a908cae6c50ac31f1698188fa48a74524b54", // Linux, x86_64
];

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
  const folder = join(
    cache,
    "zig",
    `${ZIG_VERSION}-${createHash("sha256").update(DIGESTS.join()).digest("hex").slice(0, 8)}`,
  );
  const zig: Zig = { program: join(folder, "ziglang", "zig"), lib: join(folder, "ziglang", "lib") };
  if (await exists(zig.program)) return zig;
  say(`getting zig ${ZIG_VERSION} from PyPI (100 MB)`);
  await mkdir(dirname(folder), { recursive: true });
  const temporary = await mkdtemp(`${folder}.incomplete-`);
  try {
    const requirements = join(temporary, "requirements.txt");
    await writeFile(
      requirements,
      `ziglang==${ZIG_VERSION} ${DIGESTS.map((one) => `--hash=sha256:${one}`).join(" ")}\n`,
    );
    const { code, output } = await run([
      ...["python3", "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps"],
      ...["--no-compile", "--root-user-action=ignore", "--only-binary=:all:", "--require-hashes"],
      ...["--requirement", requirements, "--target", temporary],
    ], { signal });
    if (code !== 0) {
      const last = output.trim().split("\n").at(-1);
      throw new BuildError(
        `Cannot get ziglang==${ZIG_VERSION} with pip: ${last}; it needs Linux on x64, python3 with pip, and a package index`,
      );
    }
    await rename(temporary, folder).catch(async (error) => {
      if (!await exists(zig.program)) throw error; // else another process was faster
    });
    return zig;
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}
