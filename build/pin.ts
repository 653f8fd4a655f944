/** The llama.cpp that is built: change these together, with LLAMA_VERSION in ffi/version.ts. */
import { LLAMA_VERSION } from "../ffi/version.ts";

/** The release's tag in {@link REPOSITORY}. */
export const TAG: string = `v${LLAMA_VERSION}`;

/** What `git rev-parse HEAD^{tree}` must say: the same for a clone of the tag and for a bundle with other history. */
export const TREE: string = "fd570ef54b10ec5fecb739e7e04c8ce44a6f415a";

/** Where llama.cpp is developed. */
export const REPOSITORY: string = "https://github.com/ggml-org/llama.cpp.git";

/** An npm package that carries the same release as a git bundle, for machines that reach npm's registry only. */
export const PACKAGE: { readonly name: string; readonly version: string; readonly bundle: string } = {
  name: "node-llama-cpp",
  version: "3.22.1",
  bundle: "package/llama/gitRelease.bundle",
};
