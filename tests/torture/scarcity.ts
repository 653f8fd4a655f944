// Scarcity: no memory, no room, no right to write, no home, odd names.
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync } from "node:fs";
import { basename, join } from "node:path";
import process from "node:process";
import { convert } from "../../convert.ts";
import { candidates } from "../../ffi/open.ts";
import { fixture } from "../support/checkpoint.ts";
import { cannotLoad, libraryMissing, modelPath } from "../support/references.ts";
import type { Case, Context } from "./case.ts";
import { beside, runWorker } from "./worker.ts";

const linux = process.platform === "linux";
const skip = libraryMissing ? "no native library was built" : undefined;
const skipMount = skip ??
  (linux && process.getuid?.() === 0 && canMount() ? undefined : "file systems cannot be mounted here");

function canMount(): boolean {
  const directory = "/proc/self/fdinfo"; // whatever is there: unshare asks for the same right and changes nothing
  return existsSync(directory) && spawnSync("unshare", ["--mount", "true"]).status === 0;
}

/** Yields from a worker while something is mounted. */
async function* mounted(
  context: Context,
  worker: string,
  size: string,
  prepare?: (directory: string) => Promise<void>,
): AsyncGenerator<string | undefined> {
  const directory = join(context.directory, "place");
  mkdirSync(directory);
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "llamasaur-torture", directory]);
  try {
    await prepare?.(directory);
    if (prepare) execFileSync("mount", ["-o", "remount,ro", directory]);
    yield* runWorker(context, "places_worker.ts", [worker, context.seed, context.planned, directory]);
  } finally {
    execFileSync("umount", ["--lazy", directory]);
  }
}

async function fillReadOnly(directory: string): Promise<void> {
  await convert(fixture("tiny_bert"), join(directory, "model.gguf"));
  const library = candidates().find(({ path, skipped }) => !skipped && existsSync(path))!.path;
  cpSync(library, join(directory, basename(library)));
}

function place(name: string, worker: string, ci: number, full: number, env?: Record<string, string>): Case {
  return {
    name: `scarcity: ${name}`,
    planned: { ci, full },
    skip,
    run(context) {
      const directory = join(context.directory, "place");
      mkdirSync(directory);
      return runWorker(
        context,
        "places_worker.ts",
        [worker, context.seed, context.planned, directory],
        env ? { env } : {},
      );
    },
  };
}

export const cases: readonly Case[] = [
  {
    name: "scarcity: allocations of a lane fail",
    planned: { ci: 30, full: 500 },
    repeats: true,
    skip: skip ??
      (linux && spawnSync("cc", ["--version"]).status === 0 ? undefined : "there is no C compiler for Linux"),
    async *run(context) {
      const allocator = join(context.directory, "failing_allocator.so");
      const sources = [beside("failing_allocator.c"), "-ldl", "-lpthread"];
      execFileSync("cc", ["-shared", "-fPIC", "-O1", "-o", allocator, ...sources]);
      const args = [context.seed, context.planned, join(context.directory, "files"), allocator];
      yield* runWorker(context, "allocation_worker.ts", args, { env: { LD_PRELOAD: allocator } });
    },
  },
  {
    name: "scarcity: the address space is used up",
    platforms: ["bun"], // Deno does not start with less than 8 GB
    planned: { ci: 1, full: 10 },
    skip: linux && !cannotLoad("all-minilm-l6-v2-f32.gguf") ? skip : "Linux and all-MiniLM-L6-v2 are needed",
    async *run(context) {
      for (let run = 0; run < context.planned; run++) {
        const bytes = context.draw(4_000, 6_000) * 1_000_000; // below, Bun has no room for its JIT
        const options = { prefix: ["prlimit", `--as=${bytes}`] };
        yield* runWorker(context, "address_space_worker.ts", [modelPath("all-minilm-l6-v2-f32.gguf")], options);
      }
    },
  },
  {
    name: "scarcity: the disk is full",
    planned: { ci: 4, full: 40 },
    skip: skipMount,
    run: (context) => mounted(context, "full", "16m"),
  },
  {
    name: "scarcity: a read-only directory",
    planned: { ci: 6, full: 6 },
    skip: skipMount,
    run: (context) => mounted(context, "readonly", "32m", fillReadOnly),
  },
  place("no HOME", "homeless", 4, 4, {
    HOME: "",
    XDG_CACHE_HOME: "",
    HF_HOME: "",
    HF_HUB_CACHE: "",
    LLAMASAUR_MODELS: "",
  }),
  place("odd paths", "odd", 10, 10),
  place("a path of 4,200 characters", "endless", 7, 7),
];
