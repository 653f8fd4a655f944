/** Describes the native library: where it is, what it was made for, and what it computes on. */
import { abi, type Device, devices, features, find, kernels, LLAMA_VERSION } from "../ffi/mod.ts";
import { type FastestWeights, fastestWeights } from "./engine/fastest.ts";
import { checkDevicesOptions } from "./options.ts";

/** The native library that is used on this machine. */
export interface LibraryInfo {
  /** Its path. */
  readonly path: string;
  /** The places that were looked at before, each with what was wrong there. */
  readonly tried: readonly string[];
  /** The version of llama.cpp in it. */
  readonly llamaVersion: string;
  /** The number of its functions, which is another where they are others. */
  readonly abi: number;
  /** Features of x86-64 processors that it was compiled for, such as `AVX2`; it runs on no processor that lacks one. */
  readonly compiledFor: readonly string[];
  /** Which features of those that matter here this processor has. */
  readonly processor: readonly string[];
  /** What is computed by this package's own kernels on this processor. */
  readonly kernels: readonly string[];
  /** The type of weights, as `quantize` names it, that they compute fastest on this processor; undefined without them. */
  readonly fastestWeights: FastestWeights | undefined;
  /** What it computes on, with free memory. */
  readonly devices: readonly Device[];
}

/**
 * Describes the native library that `Llama.load` would use: where it was looked for and found, its version, and what it computes
 * on. Loads no model.
 *
 * @param options `library`: path or `file:` URL of the native library, if it is not in one of the usual places.
 * @returns The library.
 * @throws {TypeError} when `library` is neither, or another option is there.
 * @throws {LibraryNotFoundError} when there is none; `tried` has the places.
 * @throws {LlamaError} `version-mismatch` when it is of another version, or for another processor.
 * @example
 * ```ts
 * import { describeLibrary } from "@llamasaur/llamasaur";
 *
 * const { llamaVersion, devices } = await describeLibrary();
 * console.log(llamaVersion, devices.map(({ name }) => name)); // 0.5.0 [ "CPU" ]
 * ```
 */
export async function describeLibrary(
  options: { readonly library?: string | URL | undefined } = {},
): Promise<LibraryInfo> {
  const { native, tried } = await find(checkDevicesOptions(options).library);
  const { compiled, processor } = features(native);
  const own = kernels(native);
  return {
    path: native.path,
    tried,
    llamaVersion: LLAMA_VERSION,
    abi: abi(),
    compiledFor: compiled,
    processor,
    kernels: own,
    fastestWeights: fastestWeights(own, processor),
    devices: devices(native),
  };
}
