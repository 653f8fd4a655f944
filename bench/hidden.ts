/** Measures this machine as one with AVX2 alone: a library of ours hides its wider instructions from each program. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { build } from "../build/mod.ts";
import { run } from "../build/run.ts";
import { benchCache, madeOnce, ROOT } from "./models.ts";
import type { Machine, ProcessorClass } from "./machine.ts";
import { keyed } from "./peers/install.ts";

/** How programs see less of a processor. */
export interface Hidden {
  readonly class: ProcessorClass;
  /** Variables that each program is started with. */
  readonly environment: Readonly<Record<string, string>>;
}

const WORDS = "AVX-512, AVX-VNNI and AMX hidden from each program (CPUID faulting)";
const WIDER = /^(avx512|avx_vnni|amx_)/; // as /proc/cpuinfo names them

// What glibc chooses its own functions by, before any library is loaded: GLIBC_TUNABLES of its manual.
const OF_GLIBC = ["F", "BW", "CD", "DQ", "VL", "ER", "PF"].map((name) => `-AVX512${name}`).join();

/**
 * Makes ready what hides the wider instructions, and a library of ours that was compiled without them.
 *
 * @throws {RangeError} Another class than AVX2 is asked for.
 * @throws {Error} This system cannot hide them, or a compiler is missing.
 */
export async function hideProcessor(wanted: string): Promise<Hidden> {
  if (wanted !== "AVX2") {
    throw new RangeError(`--class is "${wanted}": use AVX2, the only one that others can be cut to`);
  }
  const impossible = whyNotHidden();
  if (impossible !== undefined) throw new Error(`Cannot measure as a processor with AVX2 alone: ${impossible}`);
  const [hiding, library] = [await hidingLibrary(), await portableLibrary()];
  const { LD_PRELOAD: others, GLIBC_TUNABLES: tunables } = process.env;
  return {
    class: "AVX2",
    environment: {
      LD_PRELOAD: others ? `${hiding}:${others}` : hiding,
      GLIBC_TUNABLES: `${tunables ? `${tunables}:` : ""}glibc.cpu.hwcaps=${OF_GLIBC}`,
      LLAMASAUR_LIBRARY: library,
    },
  };
}

/** Why this processor's instructions cannot be hidden; undefined if they can. */
export function whyNotHidden(): string | undefined {
  if (process.platform !== "linux" || process.arch !== "x64") {
    return `it takes Linux on x64, and this is ${process.platform} on ${process.arch}`;
  }
  if (/^flags\s*:.*\bcpuid_fault\b/m.test(readFileSync("/proc/cpuinfo", "utf8"))) return undefined;
  return "it takes CPUID faulting, and /proc/cpuinfo has no flag cpuid_fault";
}

/** A machine as its programs see it, told so in words. */
export function machineSeen(machine: Machine): Machine {
  const instructions = machine.instructions.split(" ").filter((name) => !WIDER.test(name)).join(" ");
  return { ...machine, instructions, hidden: WORDS };
}

/** Path of the library that a program preloads, compiled when its source has changed. */
export async function hidingLibrary(): Promise<string> {
  const source = join(ROOT, "bench", "hide_processor.c");
  const directory = await madeOnce(
    keyed("hide-processor", "../hide_processor.c", "../hidden.ts"),
    async (directory) => {
      const compiler = process.env["CC"] || "cc";
      // its constructor comes before those of the libraries that a program is linked to: they ask for the processor, too
      const flags = ["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-Wl,-z,initfirst"];
      const command = [compiler, ...flags, "-o", join(directory, "hide_processor.so"), source, "-ldl"];
      const { code, output } = await run(command);
      if (code !== 0) throw new Error(`${compiler} cannot compile ${source}: ${output.trim()}`);
    },
  );
  return join(directory, "hide_processor.so");
}

/** Our library for any processor with AVX2: one for this very processor has wider instructions in ggml's part. */
async function portableLibrary(): Promise<string> {
  const { path } = await build({ portable: true, out: join(benchCache(), "portable") });
  return path;
}
