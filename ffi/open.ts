/** Opens the native library: finds it, checks that it is ours, of this version and for this CPU, and starts it. */
import process from "node:process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { LibraryNotFoundError, LlamaError, STATUS } from "./errors.ts";
import {
  buildCommand,
  isBundled,
  isCompiled,
  libraryCachePath,
  libraryFileName,
  packageRoot,
  targetName,
} from "./host/paths.ts";
import { env, granted } from "./host/permission.ts";
import { LONGEST_REASON, printable } from "./host/printable.ts";
import { Jobs } from "./jobs.ts";
import type { Native } from "./native.ts";
import type { Adapter, Library } from "./runtime/adapter.ts";
import { abi, type Functions, type Signature, SYMBOLS } from "./symbols.ts";
import { LLAMA_VERSION } from "./version.ts";

/** A place where the library may be, or the reason why it was not looked at. */
export interface Candidate {
  readonly path: string;
  readonly skipped?: string;
}

// What a library of any version must answer, so that a stale one can be told from a foreign one.
const FIRST = { saur_abi: SYMBOLS.saur_abi, saur_versions: SYMBOLS.saur_versions } as const;
FIRST satisfies Record<string, Signature>;

/** The oldest runtimes that pass the tests; package.json's "engines" has them, too. */
const OLDEST = "Deno 2.8 or Bun 1.4";

// What is called before a lane loads its first model.
const BEGINNING: ReadonlySet<string> = new Set<keyof Functions>([
  "saur_cpu_missing",
  "saur_init",
  "saur_queue_new",
  "saur_queue_notify",
  "saur_queue_wait",
  "saur_lane_new",
  "saur_model_load",
]);

const opened = new Map<string, Native>();

/**
 * Opens the library, once for each path and JavaScript thread.
 *
 * @param library The `library` option; without it the places of `candidates()` are tried in order, then npm's package.
 * @throws {LibraryNotFoundError} when no place has a library that opens.
 * @throws {LlamaError} `version-mismatch` when one is of another version or for another CPU.
 */
export async function open(library?: string | URL): Promise<Native> {
  return (await find(library)).native;
}

/** A library that was found, and the places that were looked at before it, each with what was wrong there. */
export interface Found {
  readonly native: Native;
  readonly tried: readonly string[];
}

/** Opens the library as `open`, and says where it was looked for. */
export async function find(library?: string | URL): Promise<Found> {
  const adapter = await loadAdapter();
  const places = candidates(library);
  const attempts = new Attempts(adapter);
  const found = (native: Native): Found => ({ native, tried: attempts.tried });
  let install: string | undefined;
  for (const place of places) {
    const native = attempts.open(place);
    if (native) return found(native);
  }
  // Last of all, so that a library that someone built goes before the one that everybody gets.
  if (places.length > 1) {
    const { packagedLibrary } = await import("./host/packaged.ts");
    const packaged = await packagedLibrary(abi());
    places.push(packaged.skipped ? packaged : permitted(packaged.path));
    const native = attempts.open(places.at(-1)!);
    if (native) return found(native);
    install = packaged.remedy;
  }
  if (attempts.mismatch) throw attempts.mismatch;
  // With nothing granted, Deno's own error (or question) about the permission is the clearest answer.
  const refused = places.find(({ skipped }) => skipped?.includes("--allow-ffi"));
  if (refused && places.every(({ skipped }) => skipped)) return found(start(refused.path, adapter));
  throw attempts.failure(install, library === undefined ? undefined : "the option library");
}

/** The places that were tried, each with what was wrong with it. */
class Attempts {
  readonly #adapter: Adapter;
  readonly tried: string[] = [];
  /** The first library of another version, which explains more than that others are not there. */
  mismatch: LlamaError | undefined;

  constructor(adapter: Adapter) {
    this.#adapter = adapter;
  }

  /** Opens the library of a place; undefined if it has none that opens. */
  open({ path, skipped }: Candidate): Native | undefined {
    try {
      if (!skipped) return opened.get(path) ?? start(path, this.#adapter);
      this.#tell(path, skipped);
    } catch (error) {
      if (isPermissionError(error)) throw error;
      if (error instanceof LlamaError) this.mismatch ??= error;
      const words = (error as Error).message.replace(/^(Could not open library: )+/, "").replace(`${path}: `, "")
        .trim();
      this.#tell(path, words);
    }
    return undefined;
  }

  #tell(path: string, reason: string): void {
    this.tried.push([path, reason].map((text) => printable(text, undefined, LONGEST_REASON)).join(": "));
  }

  /**
   * @param install The command that gets the package, where one does.
   * @param option What named the only place, if an option did.
   */
  failure(install: string | undefined, option: string | undefined): LibraryNotFoundError {
    const named = option ?? (env("LLAMASAUR_LIBRARY") === undefined ? undefined : "LLAMASAUR_LIBRARY");
    const correct = named === undefined
      ? ""
      : `Correct ${named}, or leave it out: the usual places are looked at then\n`;
    const get = correct + (install === undefined ? "" : `Get it with: ${install}\n`);
    const build = buildCommand();
    return new LibraryNotFoundError(
      `Cannot find ${libraryFileName()}; looked at:\n${this.tried.map((line) => `  ${line}`).join("\n")}\n` +
        `${get}Build it with: ${build}`,
      this.tried,
      install ?? build,
    );
  }
}

/** A place, unless Deno was not allowed to open a library there. */
function permitted(path: string): Candidate {
  return granted({ name: "ffi", path }) ? { path } : { path, skipped: "no permission (--allow-ffi)" };
}

/**
 * The places where the library is looked for, first to last.
 *
 * @param option The `library` option: a path or a `file:` URL. When given, it is the only place.
 */
export function candidates(option?: string | URL): Candidate[] {
  // A place that was named is the only one: falling back to another would hide that it is wrong.
  const named = option ?? env("LLAMASAUR_LIBRARY");
  if (named !== undefined) {
    return [{ path: named instanceof URL || named.startsWith("file:") ? fileURLToPath(named) : named }];
  }
  const places: Candidate[] = [];
  const add = (path: string | undefined, place: string, reason: string): void => {
    places.push(path === undefined ? { path: place, skipped: reason } : permitted(path));
  };
  add(undefined, "$LLAMASAUR_LIBRARY", unknown(["LLAMASAUR_LIBRARY"]));
  const root = packageRoot();
  const beside = isCompiled()
    ? join(dirname(process.execPath), libraryFileName())
    : root.protocol === "file:"
    ? join(fileURLToPath(root), isBundled() ? "" : join("lib", targetName()), libraryFileName())
    : undefined;
  add(beside, "lib/ beside the package", `the package was loaded from ${root.protocol}//${root.host}`);
  add(
    libraryCachePath(LLAMA_VERSION, abi()),
    "the user's cache",
    unknown(["XDG_CACHE_HOME", process.platform === "win32" ? "LOCALAPPDATA" : "HOME"]),
  );
  return places;
}

/** Why variables say nothing: they are unset, or Deno may not read them. */
function unknown(variables: readonly string[]): string {
  const readable = variables.every((variable) => granted({ name: "env", variable }));
  if (!readable) return `no permission to read ${variables.join(" or ")} (--allow-env)`;
  return variables.length === 1 ? "unset" : `${variables.join(" and ")} are unset`;
}

/**
 * Looks that the runtime is one of the two, before anything that an old Node lacks is called (18 has no isWellFormed).
 *
 * @throws {Error} It is another; the message says what to run instead.
 */
export function checkRuntime(): void {
  if ("Deno" in globalThis || "Bun" in globalThis) return;
  const here = process.versions.node ? `Node v${process.versions.node}` : "this runtime";
  throw new Error(`Cannot load a model on ${here}: llamasaur runs on ${OLDEST}, or newer`);
}

async function loadAdapter(): Promise<Adapter> {
  checkRuntime();
  return "Deno" in globalThis ? await import("./runtime/deno.ts") : await import("./runtime/bun.ts");
}

function isPermissionError(error: unknown): boolean {
  return error instanceof Error && (error.name === "NotCapable" || error.name === "PermissionDenied");
}

function start(path: string, adapter: Adapter): Native {
  check(path, adapter);
  const { functions, listen } = openInTwo(path, adapter);
  const lacking = new Uint8Array(512);
  if (functions.saur_cpu_missing(lacking, lacking.length, 0) > 0) {
    const remedy = buildCommand();
    throw new LlamaError(
      "version-mismatch",
      `Cannot use the library ${path}: it was compiled for a CPU with ${text(lacking)}, which this one lacks. ` +
        `Build it on this machine: ${remedy}`,
      { remedy },
    );
  }
  const status = functions.saur_init(new Uint8Array(1));
  if (status !== STATUS.OK) {
    const why = status === STATUS.NULL ? ": no backend for this CPU is in the directory of its libggml" : "";
    throw new LlamaError("context-lost", `Cannot start the library ${path}${why}`);
  }
  const native = { path, functions, jobs: new Jobs(functions, listen) };
  opened.set(path, native);
  return native;
}

/**
 * Opens the functions that a load begins with, and all others when one of them is asked for: Deno takes 0.2 ms to make one
 * callable, and the lane can load meanwhile (src/engine/load.ts).
 */
function openInTwo(path: string, adapter: Adapter): Library<Functions> {
  const tables: Record<"beginning" | "others", Record<string, Signature>> = { beginning: {}, others: {} };
  for (const [name, signature] of Object.entries(SYMBOLS)) {
    tables[BEGINNING.has(name) ? "beginning" : "others"][name] = signature;
  }
  const { functions, listen } = adapter.open<Record<string, unknown>>(path, tables.beginning);
  const all = { ...functions };
  const openOthers = (): void => {
    const more = adapter.open<Record<string, unknown>>(path, tables.others).functions;
    for (const name of Object.keys(tables.others)) Object.defineProperty(all, name, { value: more[name] });
  };
  for (const name of Object.keys(tables.others)) {
    Object.defineProperty(all, name, { configurable: true, enumerable: true, get: () => (openOthers(), all[name]) });
  }
  return { functions: all as Functions, listen };
}

function check(path: string, adapter: Adapter): void {
  let first: Pick<Functions, keyof typeof FIRST>;
  try {
    first = adapter.open<Pick<Functions, keyof typeof FIRST>>(path, FIRST).functions;
  } catch (error) {
    const message = (error as Error).message;
    if (isPermissionError(error) || !/saur_/.test(message)) throw error;
    throw new Error(`it is not a llamasaur library (${message})`, { cause: error });
  }
  const buffer = new Uint8Array(1024);
  first.saur_versions(buffer, buffer.length);
  const [built, loaded] = new TextDecoder().decode(buffer).split("\0");
  const wrong = first.saur_abi() !== abi()
    ? "its functions are those of another llamasaur version"
    : built !== loaded?.replace(/-dev$/, "") // llama.cpp says "-dev" of every build that was not told otherwise
    ? `its shim was compiled for llama.cpp ${built}, but it holds ${loaded}`
    : built !== LLAMA_VERSION
    ? `it holds llama.cpp ${loaded}, but this version needs ${LLAMA_VERSION}`
    : undefined;
  if (wrong) {
    const remedy = buildCommand();
    throw new LlamaError(
      "version-mismatch",
      `Cannot use the library ${path}: ${wrong}. Build it again: ${remedy}`,
      { remedy },
    );
  }
}

function text(buffer: Uint8Array): string {
  return new TextDecoder().decode(buffer.subarray(0, buffer.indexOf(0)));
}
