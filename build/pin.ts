/** The llama.cpp that is built: change these together, with LLAMA_VERSION in ffi/version.ts. */
import { LLAMA_VERSION } from "../ffi/version.ts";

/** The release's tag in {@link REPOSITORY}. */
export const TAG: string = `v${LLAMA_VERSION}`;

/** What `git rev-parse HEAD^{tree}` must say: the same for a clone of the tag and for a bundle with other history. */
export const TREE: string = "fd570ef54b10ec5fecb739e7e04c8ce44a6f415a";

/** Where llama.cpp is developed. */
export const REPOSITORY: string = "https://github.com/ggml-org/llama.cpp.git";

/** An npm package that carries the same release as a git bundle, for machines that reach npm's registry only. */
export const PACKAGE: {
  readonly name: string;
  readonly version: string;
  /** In hex, of the .tgz; `npm view NAME@VERSION dist.integrity` tells it in base64. */
  readonly sha512: string;
  readonly bundle: string;
} = {
  name: "node-llama-cpp",
  version: "3.22.1",
  sha512:
    "6e5b488a9b9699cd76dc7eed30880318a4ac4ab866865418795502e3c5d38d55bb5c624988927209d95333343f2e25a83e4183a5c2f816f883a60c3ba9f4e20f",
  bundle: "package/llama/gitRelease.bundle",
};
