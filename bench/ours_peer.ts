/** Us, on Deno and on Bun, and another checkout of us. */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { libraryFileName, targetName } from "../ffi/host/paths.ts";
import { modelFor, ROOT } from "./models.ts";
import { type Candidate, isCausal, type Peer } from "./peer.ts";

/** A runtime's command for a script. */
export const RUNTIMES: readonly { readonly name: string; readonly command: readonly string[] }[] = [
  { name: "Deno", command: ["deno", "run", "-A"] },
  { name: "Bun", command: ["bun"] },
];

/** Absolute path of a script beside this one. */
export function script(name: string): string {
  return join(ROOT, "bench", name);
}

const EXACT = ", f32";

/**
 * A contender for each runtime; one more each with f32 weights, to be held against others' fp32; and one more each that
 * computes every pair of a yes/no reranker from its beginning.
 */
export const OURS: readonly Peer[] = [
  ...RUNTIMES.map(({ name, command }) => peer(name, command, ["embed", "rerank"], candidates)),
  ...RUNTIMES.map(({ name, command }) => peer(nameExact(name), command, ["embed", "rerank"], exactly)),
  ...RUNTIMES.map(({ name, command }) => peer(`${name}, no shared prefix`, command, ["rerank"], withoutSharing)),
];

const BEFORE = "before, ";

/** Another version, a contender for each runtime: what this one runs by, with that one's library. */
export function before(directory: string): readonly Peer[] {
  const entry = join(resolve(directory), "mod.ts");
  return RUNTIMES.map(({ name, command }): Peer => ({
    ...peer(`${BEFORE}${name}`, command, ["embed", "rerank"], candidates),
    set: name,
    prepare: () => existsSync(entry) ? Promise.resolve() : Promise.reject(new Error(`${entry} is missing`)),
    command: (jobPath) => [...command, script("ours.ts"), jobPath, entry],
  }));
}

/** The name that a runtime's contender with f32 weights has. */
export function nameExact(name: string): string {
  return name + EXACT;
}

/** The name that another version has beside this one's. */
export function nameBefore(name: string): string {
  return BEFORE + name;
}

/** Whether a contender is this package, in any version and setting. */
export function isOurs(name: string): boolean {
  const own = name.startsWith(BEFORE) ? name.slice(BEFORE.length) : name;
  return RUNTIMES.some((runtime) => own === runtime.name || own.startsWith(`${runtime.name}, `));
}

function peer(name: string, command: readonly string[], kinds: Peer["kinds"], candidates: Peer["candidates"]): Peer {
  return {
    name,
    kinds,
    prepare(): Promise<void> {
      const library = join(ROOT, "lib", targetName(), libraryFileName());
      if (existsSync(library)) return Promise.resolve();
      return Promise.reject(new Error(`${library} is missing: run \`deno task build\``));
    },
    candidates,
    model: modelFor,
    command: (jobPath) => [...command, script("ours.ts"), jobPath],
  };
}

/** Contexts and threads are our own choice: that is what users get. */
function candidates(workload: string): readonly Candidate[] {
  if (isCausal(workload)) return [{ name: "q4_k_m", type: "q4_k_m", settings: {} }];
  return ["bf16", "q8_0", "f32"].map((type) => ({ name: type, type, settings: {} }));
}

function exactly(workload: string): readonly Candidate[] {
  return isCausal(workload) || workload === "many" ? [] : [{ name: "f32", type: "f32", settings: {} }];
}

function withoutSharing(workload: string): readonly Candidate[] {
  return workload === "yes-no" ? [{ name: "q4_k_m", type: "q4_k_m", settings: { shares: false } }] : [];
}
