/** Says what the library can compute on: devices, cores, features of the processor, and the operators of our own kernels. */
import type { Native } from "./native.ts";

/** A device. */
export interface Device {
  /** Its name, as the `device` option takes it: `CPU`, `Metal`, `CUDA0`, `Vulkan0` … */
  readonly name: string;
  /** What the driver calls it. */
  readonly description: string;
  /** What kind it is; an accelerator works beside the CPU. */
  readonly kind: "cpu" | "gpu" | "integrated-gpu" | "accelerator";
  /** Free memory in bytes, 0 where the driver does not tell. */
  readonly memoryFree: number;
  /** All memory in bytes, 0 where the driver does not tell. */
  readonly memoryTotal: number;
}

const KINDS: Record<string, Device["kind"]> = { c: "cpu", g: "gpu", i: "integrated-gpu", a: "accelerator" };

/** Lists the devices, in the order of the library's indices. */
export function devices({ functions: f }: Native): Device[] {
  return Array.from({ length: f.saur_device_count() }, (_, index) => {
    const buffer = new Uint8Array(512);
    f.saur_device_text(index, buffer, buffer.length);
    const [kindName = "", description = ""] = new TextDecoder().decode(buffer).split("\0");
    const memory = new Float64Array(2);
    f.saur_device_memory(index, memory);
    return {
      name: kindName.slice(1),
      description,
      kind: KINDS[kindName[0]!] ?? "accelerator",
      memoryFree: memory[0]!,
      memoryTotal: memory[1]!,
    };
  });
}

/**
 * Counts the physical cores that the process may keep busy by its affinity and control group, at least 1. `node:os` would
 * ask for a permission.
 *
 * @param root Directory with the `/proc` and `/sys` of some Linux machine, for tests; by default this one's.
 */
export function cores({ functions }: Native, root = ""): number {
  return functions.saur_cores(new TextEncoder().encode(`${root}\0`));
}

/** The operators that our own kernels compute, none on a processor without kernels. */
export function kernels({ functions }: Native): string[] {
  const out = new Uint8Array(256);
  const length = functions.saur_kernels(out, out.length);
  return new TextDecoder().decode(out.subarray(0, length)).split("\0").filter((name) => name !== "");
}

/** Features of x86-64 processors, by their usual names: those that a library was compiled for, and those of this machine. */
export interface Features {
  readonly compiled: readonly string[];
  readonly processor: readonly string[];
}

/** Says for which features the library was compiled, and which the processor has; both empty on other architectures. */
export function features({ functions }: Native): Features {
  const out = new Uint8Array(1024);
  functions.saur_versions(out, out.length);
  const [, , compiled = "", processor = ""] = new TextDecoder().decode(out).split("\0");
  const named = (list: string): string[] => list.split(", ").filter((name) => name !== "");
  return { compiled: named(compiled), processor: named(processor) };
}
