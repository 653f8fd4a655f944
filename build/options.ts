/** What `build()` takes and gives. */
import type { Backend } from "./flags.ts";

/** How to build the library; everything has a default. */
export interface BuildOptions {
  /** What it computes on. Default: `"metal"` on Apple Silicon, `"cpu"` elsewhere. */
  readonly backend?: Backend | undefined;
  /** For any machine of this architecture instead of this very processor. Default: false. */
  readonly portable?: boolean | undefined;
  /** How many files are compiled at once. Default: the number of processors. */
  readonly jobs?: number | undefined;
  /** A copy of llama.cpp to compile. Default: the pinned release, fetched once into the cache. */
  readonly source?: string | undefined;
  /**
   * A directory with libllama, libggml and its backends, built by somebody else from the same release. Only our own
   * few files are compiled, and the libraries are used where they are. Linux and macOS.
   */
  readonly llama?: string | undefined;
  /** Take the library of npm's package, which is for the processor, and compile nothing. Default: false. */
  readonly prebuilt?: boolean | undefined;
  /** Where `<os>-<arch>/` is made. Default: `lib/` of the package, or the user cache when the package is no checkout. */
  readonly out?: string | undefined;
  /** With debug information and without optimisation. Default: false. */
  readonly debug?: boolean | undefined;
  /** Throw away what an earlier build with the same options compiled. Default: false. */
  readonly clean?: boolean | undefined;
  /** Report the commands and run none of them. Default: false. */
  readonly dryRun?: boolean | undefined;
  /** A program for maintainers to build instead of the library. */
  readonly target?: string | undefined;
  /** Builds `target` under a sanitizer of the compiler. */
  readonly sanitize?: "address" | "thread" | undefined;
  /** Stops the build. */
  readonly signal?: AbortSignal | undefined;
  /** Told what happens, a line at a time. Default: lines go to stderr, with progress that is rewritten on a terminal. */
  readonly onLine?: ((line: string) => void) | undefined;
}

/** What a build made. */
export interface BuildResult {
  /** The absolute path of the library, or of the program that `target` names. */
  readonly path: string;
  /** What it computes on. */
  readonly backend: Backend;
  /** False when it was there already and nothing had changed. */
  readonly built: boolean;
  /** How long it took, in seconds. */
  readonly seconds: number;
}
