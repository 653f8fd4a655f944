/** Looks for the native library, and says what it is and what it computes on. */
import { freemem } from "node:os";
import type { LibraryInfo, LibraryNotFoundError } from "@llamasaur/llamasaur";
import { size } from "../layout.ts";
import { shown } from "../quote.ts";
import { type Finding, told, wordsOf } from "./finding.ts";
import { mayOpen } from "./machine.ts";

/** What the library's errors have: `LibraryNotFoundError`, or a `LlamaError` of one that cannot be used. */
type Failing = Error & Partial<Pick<LibraryNotFoundError, "tried" | "remedy">>;

/** Where the library was looked for and found, its version, and for what it was compiled; its devices. */
export async function library(path: string | undefined): Promise<readonly [Finding, Finding]> {
  const skipped: Finding = { check: "devices", state: "skipped", message: "there is no library to ask" };
  if (!mayOpen()) {
    return [{ check: "library", state: "skipped", message: "may not be opened: no --allow-ffi" }, skipped];
  }
  const { describeLibrary } = await import("@llamasaur/llamasaur");
  try {
    const info = await describeLibrary({ library: path });
    return [found(info), devices(info)];
  } catch (error) {
    return [missing(error as Failing), skipped];
  }
}

function found(info: LibraryInfo): Finding {
  const { path, tried, llamaVersion, abi, compiledFor, processor, kernels, fastestWeights } = info;
  const more = [
    ...tried.map((line) => `looked at before: ${line}`),
    `compiled for: ${compiledFor.join(", ") || "any processor of this kind"}`,
    ...processor.length > 0 ? [`the processor has: ${processor.join(", ")}`] : [],
    `kernels: ${kernels.join(", ") || "none for this processor: llama.cpp's own are used"}`,
    ...fastestWeights ? [`weights that it computes fastest: ${fastestWeights}`] : [],
  ];
  const message = `${shown(path)}, llama.cpp ${llamaVersion}`;
  return {
    check: "library",
    state: "ok",
    message,
    more,
    details: {
      path,
      tried,
      llamaVersion,
      abi,
      compiledFor,
      processor,
      kernels,
      fastestWeights: fastestWeights ?? null,
    },
  };
}

/** None was found, or one of another version. The error has the command. */
function missing(error: Failing): Finding {
  const { tried = [], remedy } = error;
  const message = wordsOf(error).replace(/; looked at:$/, "").replace(/\. Build it (again|on this).*/, "");
  const more = tried.map((line) => `looked at: ${line}`);
  return { check: "library", state: "failed", message, more, ...(remedy && { remedy }), details: { tried } };
}

function devices({ devices }: LibraryInfo): Finding {
  const all = devices.map(({ name, description, kind, memoryFree, memoryTotal }) => ({
    name,
    description,
    kind,
    // ggml knows only all of a computer's memory
    memoryFree: kind === "cpu" ? told(freemem) ?? memoryFree : memoryFree,
    memoryTotal,
  }));
  const backends = [...new Set(all.map(({ name }) => name.replace(/\d+$/, "")))];
  const more = all.map(({ name, description, memoryFree, memoryTotal }) =>
    `${name}: ${description}, ${
      memoryTotal > 0 ? `${size(memoryFree)} of ${size(memoryTotal)} free` : "memory unknown"
    }`
  );
  return {
    check: "devices",
    state: "ok",
    message: `backends ${backends.join(", ")}`,
    more,
    details: { backends, devices: all },
  };
}
