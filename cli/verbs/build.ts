/** Builds the native library: `build()`, with the flags of llamasaur-build. */
import type { Backend, BuildOptions } from "@llamasaur/llamasaur/build";
import { Failure, UsageError } from "../failure.ts";
import type { Session } from "../session.ts";
import { integer } from "../values.ts";
import type { Given, Verb, VerbOption } from "../verb.ts";

/** The options of `build` of the library's `./build`, and a flag for each backend. */
interface Flags
  extends
    Pick<BuildOptions, "portable" | "jobs" | "source" | "llama" | "prebuilt" | "out" | "debug" | "clean" | "dryRun">,
    Readonly<Partial<Record<Backend, boolean>>> {
  readonly json?: boolean;
}

const BACKENDS: Readonly<Partial<Record<Backend, string>>> = {
  cpu: "computes on the processor",
  metal: "on Apple's GPUs",
  cuda: "on NVIDIA's GPUs",
  vulkan: "on any GPU with a Vulkan driver",
  hip: "passed through to llama.cpp, untested; so are the next two",
  sycl: "see --hip",
  blas: "see --hip",
};

const OPTIONS: readonly VerbOption[] = [
  ...Object.entries(BACKENDS).map(([name, description]) => ({ flags: `--${name}`, description })),
  { flags: "--portable", description: "for any machine like this one, not for this very processor" },
  { flags: "--jobs <count>", description: "compiles so many files at once", read: integer("--jobs", 1) },
  { flags: "--source <dir>", description: "compiles this copy of llama.cpp" },
  { flags: "--llama <dir>", description: "uses the built llama.cpp in a folder, and compiles the shim alone" },
  { flags: "--prebuilt", description: "takes the library of npm's package, and compiles nothing" },
  { flags: "--out <dir>", description: "puts the library below a folder" },
  { flags: "--debug", description: "with debug information" },
  { flags: "--clean", description: "throws away what an earlier build compiled" },
  { flags: "--dry-run", description: "prints the commands, runs none" },
];

/** The verb. */
export const verb: Verb<Flags> = {
  arguments: "",
  description:
    "Builds the native library from llama.cpp, with a compiler; without one, --prebuilt takes npm's. Prints its path.",
  shared: ["json"],
  options: OPTIONS,
  examples: ["build --dry-run", "build --portable --dry-run"],
  run,
};

async function run({ options }: Given<Flags>, session: Session): Promise<void> {
  const backends = (Object.keys(BACKENDS) as Backend[]).filter((name) => options[name]);
  if (backends.length > 1) throw new UsageError(`Cannot build for --${backends.join(" and --")} at once: take one`);
  const { portable, jobs, source, llama, prebuilt, out, debug, clean, dryRun } = options;
  const { build } = await import("@llamasaur/llamasaur/build");
  const lines: string[] = [];
  const { path, backend, built, seconds } = await build({
    ...{
      portable,
      jobs,
      source,
      llama,
      prebuilt,
      out,
      debug,
      clean,
      dryRun,
      backend: backends[0],
      signal: session.signal,
    },
    ...(dryRun ? { onLine: (line: string) => void lines.push(line) } : session.quiet && { onLine: () => {} }),
  }).catch((error: Error) => {
    if (error instanceof RangeError || error instanceof TypeError) {
      throw new UsageError(error.message, { cause: error });
    }
    throw session.signal.aborted ? error : new Failure(error.message, undefined, { cause: error });
  });
  if (options.json) await session.json({ path, backend, built, seconds, ...(dryRun && { commands: lines }) });
  else await session.write(dryRun ? lines.map((line) => `${line}\n`).join("") : `${path}\n`);
}
