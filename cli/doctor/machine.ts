/** Looks at the runtime, its permissions, the system and its C library. */
import { execFile } from "node:child_process";
import { availableParallelism, cpus, freemem, release, totalmem } from "node:os";
import process from "node:process";
import { promisify } from "node:util";
import { size } from "../layout.ts";
import { allowed } from "../program.ts";
import { VERSION } from "../version.ts";
import { type Finding, told } from "./finding.ts";

/** What is used of Deno, said here: its types are not there on Bun. */
interface DenoRuntime {
  readonly version: { readonly deno: string };
  readonly permissions: { querySync(descriptor: { readonly name: string }): { readonly state: string } };
}

const { Deno: deno, Bun: bun } = globalThis as {
  readonly Deno?: DenoRuntime;
  readonly Bun?: { readonly version: string };
};

/** The oldest runtimes on which the tests pass. */
const OLDEST = { Deno: [2, 8], Bun: [1, 4] } as const;

/** Which runtime runs, and whether it is new enough. */
export function runtime(): Finding {
  const [name, version] = deno ? ["Deno", deno.version.deno] as const : ["Bun", bun?.version ?? ""] as const;
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [least, then] = OLDEST[name];
  const old = major < least || major === least && minor < then;
  const message = `llamasaur ${VERSION} on ${name} ${version}, ${process.platform}-${process.arch}`;
  const details = { llamasaur: VERSION, runtime: name, version, platform: process.platform, arch: process.arch };
  if (!old) return { check: "runtime", state: "ok", message, details };
  const remedy = `${name.toLowerCase()} upgrade`;
  return {
    check: "runtime",
    state: "warning",
    message: `${message}; tested is ${least}.${then} or newer`,
    remedy,
    details,
  };
}

const USES = {
  ffi: "nothing is computed without it",
  read: "models and inputs are read",
  write: "outputs and downloads are written",
  env: "settings and the places of caches are read",
  net: "pull gets models",
  run: "build runs compilers",
  sys: "doctor tells of the system",
} as const;

/** What Deno was allowed. Without `ffi` nothing can be computed; the rest matters to some verbs. */
export function permissions(): Finding {
  const check = "permissions";
  if (!deno) return { check, state: "ok", message: "Bun has none" };
  const names = Object.keys(USES) as (keyof typeof USES)[];
  const lacking = names.filter((name) => deno.permissions.querySync({ name }).state !== "granted");
  const details = { granted: names.filter((name) => !lacking.includes(name)), lacking };
  if (lacking.length === 0) return { check, state: "ok", message: "all that verbs need", details };
  const more = lacking.map((name) => `no --allow-${name}: ${USES[name]}`);
  const state = lacking.includes("ffi")
    ? "failed"
    : lacking.some((name) => name === "read" || name === "env")
    ? "warning"
    : "note";
  const message = `lacking: ${lacking.map((name) => `--allow-${name}`).join(", ")}`;
  return { check, state, message, more, remedy: allowed(["doctor"]), details };
}

/** Whether native libraries may be opened: to try without it would ask on a terminal. */
export function mayOpen(): boolean {
  return !deno || deno.permissions.querySync({ name: "ffi" }).state === "granted";
}

/** The processor, memory and C library. */
export async function system(): Promise<Finding> {
  const [cores, free, total] = [told(availableParallelism), told(freemem), told(totalmem)];
  const processor = told(() => cpus()[0]?.model.trim()) ?? "unknown processor";
  const glibc = process.platform === "linux" ? await libc() : undefined;
  const libcWords = glibc === undefined ? [] : [glibc === null ? "no glibc (musl perhaps)" : `glibc ${glibc}`];
  const memory = free === undefined || total === undefined ? [] : [`${size(free)} of ${size(total)} free`];
  const counted = cores === undefined ? [] : [`${cores} threads`];
  const message = [processor, ...counted, ...memory, ...libcWords].join(", ");
  const details = { processor, threads: cores ?? null, memoryFree: free ?? null, memoryTotal: total ?? null };
  return {
    check: "system",
    state: "ok",
    message,
    details: { ...details, release: told(release) ?? null, ...(glibc !== undefined && { glibc }) },
  };
}

/** The version of glibc; null where there is none, undefined where nobody can be asked. */
async function libc(): Promise<string | null | undefined> {
  try {
    const { stdout } = await promisify(execFile)("getconf", ["GNU_LIBC_VERSION"], { timeout: 5000 });
    return /^glibc (\S+)/.exec(stdout)?.[1] ?? null;
  } catch (error) {
    return typeof (error as { code?: unknown }).code === "number" ? null : undefined; // it ran, and knows no such thing
  }
}
