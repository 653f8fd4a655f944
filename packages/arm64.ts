/** Gets what runs programs of 64-bit ARM on another Linux: the runtimes from npm, the C library from Debian; qemu is installed. */
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { BuildError } from "../build/failure.ts";
import { run } from "../build/run.ts";
import { getFolder, must, pinnedRuntimes, unpackNpm } from "./fetch.ts";

const QEMU = "qemu-aarch64-static";
/** What Deno and Bun are linked with. */
const LIBRARIES = ["libc6", "libstdc++6", "libgcc-s1"];

/** Commands that run a program for ARM. */
export interface Arm64 {
  readonly deno: readonly string[];
  readonly bun: readonly string[];
  /** For any other program; `cpu` as qemu names processors. */
  readonly program: (cpu: string) => readonly string[];
}

/**
 * The emulator and its two runtimes, fetched into the cache first if they are not there.
 *
 * @throws {BuildError} qemu is not installed, or a registry lacks a package.
 */
export async function getArm64(cache: string, say: (line: string) => void): Promise<Arm64> {
  if ((await run([QEMU, "--version"])).code !== 0) {
    throw new BuildError(`${QEMU} is missing: apt-get install qemu-user-static`);
  }
  const { deno, bun } = await pinnedRuntimes();
  const root = join(cache, "arm64", `debian-deno-${deno}-bun-${bun}`);
  await getFolder(root, async (temporary) => {
    say(`getting Deno ${deno}, Bun ${bun} and the C library for arm64`);
    await unpackNpm(`@deno/linux-arm64-glibc@${deno}`, join(temporary, "deno"));
    await unpackNpm(`@oven/bun-linux-aarch64@${bun}`, join(temporary, "bun"));
    await getLibraries(temporary);
  });
  const program = (cpu: string): string[] => [QEMU, "-cpu", cpu, "-L", join(root, "system")];
  return {
    deno: [...program("max"), join(root, "deno", "package", "deno")],
    bun: [...program("max"), join(root, "bun", "package", "bin", "bun")],
    program,
  };
}

/** Debian's packages for arm64, by lists of their own: the machine's are left alone. */
async function getLibraries(folder: string): Promise<void> {
  const apt = join(folder, "apt");
  for (const part of ["state/lists/partial", "cache/archives/partial"]) {
    await mkdir(join(apt, part), { recursive: true });
  }
  const options = [
    ...["Dir::State::Lists=" + join(apt, "state", "lists"), "Dir::Cache=" + join(apt, "cache")],
    ...["APT::Architecture=arm64", "APT::Architectures=arm64", "APT::Sandbox::User=root"],
  ].flatMap((option) => ["-o", option]);
  await must(["apt-get", ...options, "update"], { cwd: folder });
  await must(["apt-get", ...options, "download", ...LIBRARIES], { cwd: apt });
  for (const name of await readdir(apt)) {
    if (name.endsWith(".deb")) await must(["dpkg", "-x", join(apt, name), join(folder, "system")]);
  }
  await rm(apt, { recursive: true, force: true });
}
