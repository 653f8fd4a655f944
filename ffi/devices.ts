/** The devices that the library can compute on. */
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
