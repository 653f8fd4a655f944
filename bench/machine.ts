/** What a benchmark ran on. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { arch, availableParallelism, cpus, loadavg, platform, release } from "node:os";
import { LLAMA_VERSION } from "../ffi/version.ts";

// The instructions that ggml has kernels for.
const INSTRUCTIONS =
  /^(avx|f16c|fma|avx2|avx_vnni|avx512f|avx512bw|avx512_vnni|avx512_bf16|amx_int8|amx_bf16|asimddp|i8mm|sve|bf16)$/;

/** What the kernels of a processor are written for; the first one that it has names its class. */
export const CLASSES = ["AMX", "AVX-512", "AVX2", "NEON"] as const;

/** A class of processors: speeds of different ones say nothing about each other. */
export type ProcessorClass = typeof CLASSES[number];

const CLASS_WORD: Readonly<Record<ProcessorClass, RegExp>> = {
  "AMX": /\bamx_(bf16|int8)\b/,
  "AVX-512": /\bavx512bw\b/,
  "AVX2": /\bavx2\b/,
  "NEON": /\basimddp\b/,
};

/** The processor, the system and the versions. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly instructions: string;
  /** What programs were kept from seeing of it, so that nobody takes these figures for those of such a processor. */
  readonly hidden?: string;
  readonly system: string;
  readonly versions: string;
  /** Of the last minute, when the benchmark began: what else is running. */
  readonly load: number;
}

/** Asks the system, Deno and Bun. */
export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: availableParallelism(),
    instructions: instructions(),
    system: `${platform()} ${release()} ${arch()}`,
    versions: `llama.cpp ${LLAMA_VERSION}, Deno ${versionOf("deno")}, Bun ${versionOf("bun")}`,
    load: loadavg()[0] ?? 0,
  };
}

/** The class of a processor, by its instructions; undefined where they are not known. */
export function classOf({ instructions }: Pick<Machine, "instructions">): ProcessorClass | undefined {
  return CLASSES.find((name) => CLASS_WORD[name].test(instructions));
}

/**
 * The same.
 *
 * @throws {Error} It is not known.
 */
export function knownClassOf(machine: Machine): ProcessorClass {
  const found = classOf(machine);
  if (found !== undefined) return found;
  throw new Error(`No class of processors is known for "${machine.instructions}": add it to bench/machine.ts`);
}

function instructions(): string {
  if (!existsSync("/proc/cpuinfo")) return "unknown";
  const flags = /^(?:flags|Features)\s*: (.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "";
  return flags.split(" ").filter((flag) => INSTRUCTIONS.test(flag)).join(" ");
}

function versionOf(program: string): string {
  const { stdout } = spawnSync(program, ["--version"], { encoding: "utf8" });
  return /\d+\.\d+\.\d+/.exec(stdout ?? "")?.[0] ?? "unknown";
}

/** The commit that is measured, with a plus sign where files have changed since. */
export function commitOf(directory: string): string {
  const git = (...args: string[]) => spawnSync("git", args, { cwd: directory, encoding: "utf8" }).stdout?.trim() ?? "";
  return `${git("rev-parse", "--short", "HEAD") || "unknown"}${git("status", "--porcelain") ? "+" : ""}`;
}
