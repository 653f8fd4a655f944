/** What the native library can compute on. */
import { type Device, devices, open } from "../ffi/mod.ts";
import { checkObject } from "./check.ts";
import { checkLibrary } from "./options.ts";

/**
 * Lists the devices that the native library offers: the CPU, and GPUs if it was built for them.
 *
 * @param options `library`: path or `file:` URL of the native library, if it is not in one of the usual places.
 * @returns The devices; a GPU's name is what the `device` option of `Llama.load` takes.
 * @throws {TypeError} when `library` is neither.
 * @throws {LibraryNotFoundError} when the native library was not built.
 * @example
 * ```ts
 * import { listDevices } from "@llamasaur/llamasaur";
 *
 * for (const { name, kind } of await listDevices()) console.log(name, kind); // CPU cpu
 * ```
 */
export async function listDevices(options: { readonly library?: string | URL | undefined } = {}): Promise<Device[]> {
  return devices(await open(checkLibrary(checkObject("options", options).library)));
}
