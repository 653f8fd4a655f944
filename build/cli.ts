/** The command line of build/mod.ts. */
import process from "node:process";
import { parseArgs } from "node:util";
import { BuildError } from "./failure.ts";
import { BACKENDS } from "./flags.ts";
import type { BuildOptions } from "./options.ts";
import { TAG } from "./pin.ts";

/** What `--help` prints. */
export const HELP: string = `Builds llamasaur's native library from llama.cpp ${TAG}.

  deno run -A build/mod.ts [flags]
  bun build/mod.ts [flags]

What it computes on (one of them; default: Metal on Apple Silicon, the processor elsewhere):
  --cpu            the processor
  --metal          Apple's GPUs
  --cuda           NVIDIA's GPUs
  --vulkan         any GPU with a Vulkan driver
  --hip, --sycl, --blas
                   passed through to llama.cpp, untested

How:
  --portable       for any machine like this one, not for this very processor (x64: from 2013 on, AVX2)
  --jobs N         compile N files at once (default: the number of processors)
  --source DIR     compile this copy of llama.cpp and get none
  --llama DIR      use the libllama and the backends in DIR, of the same release, and compile nothing but the shim
  --prebuilt       take the library of npm's package (the processor alone) and compile nothing
  --out DIR        put the library below DIR instead of lib/
  --debug          with debug information, without optimisation
  --clean          throw away what an earlier build with the same flags compiled
  --dry-run        print the commands, run none
  --help           print this

The path of the library is printed when it is done; everything else goes to stderr.`;

/**
 * Reads the command line.
 *
 * @returns The options of `build()`, or undefined when help is asked for.
 * @throws {BuildError} A flag is unknown, is given twice in contradiction, or has a wrong value.
 */
export function parseCommandLine(args: readonly string[] = process.argv.slice(2)): BuildOptions | undefined {
  const flag = { type: "boolean" } as const;
  const value = { type: "string" } as const;
  const backends = Object.fromEntries(BACKENDS.map((name) => [name, flag]));
  let parsed;
  try {
    parsed = parseArgs({
      args: [...args],
      strict: true,
      allowPositionals: false,
      options: {
        ...backends,
        portable: flag,
        debug: flag,
        clean: flag,
        "dry-run": flag,
        help: { type: "boolean", short: "h" },
        jobs: value,
        source: value,
        llama: value,
        prebuilt: flag,
        out: value,
        target: value, // for maintainers: a program of scripts/ instead of the library
        sanitize: value, // and that under "address" (with UBSan) or "thread"
      },
    }).values as Record<string, string | boolean | undefined>;
  } catch (error) {
    throw new BuildError(`${(error as Error).message} (--help lists the flags)`);
  }
  if (parsed.help) return undefined;
  const chosen = BACKENDS.filter((name) => parsed[name]);
  if (chosen.length > 1) {
    throw new BuildError(`${chosen.map((name) => `--${name}`).join(" and ")} exclude each other: give one of them`);
  }
  const text = (name: string) => parsed[name] as string | undefined;
  const on = (name: string) => parsed[name] === true;
  return {
    backend: chosen[0],
    portable: on("portable"),
    debug: on("debug"),
    clean: on("clean"),
    dryRun: on("dry-run"),
    jobs: text("jobs") === undefined ? undefined : Number(text("jobs")),
    source: text("source"),
    llama: text("llama"),
    prebuilt: on("prebuilt"),
    out: text("out"),
    target: text("target"),
    sanitize: text("sanitize") as BuildOptions["sanitize"], // plan() checks it
  };
}
