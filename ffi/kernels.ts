/** What our own kernels compute; see kernels.h. */
import type { Native } from "./native.ts";

/** The names of the operators, none on a processor without kernels. */
export function kernels({ functions }: Native): string[] {
  const out = new Uint8Array(256);
  const length = functions.saur_kernels(out, out.length);
  return new TextDecoder().decode(out.subarray(0, length)).split("\0").filter((name) => name !== "");
}
