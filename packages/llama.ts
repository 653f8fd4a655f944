/** Gets the llama.cpp that others have built: the pinned packages of node-llama-cpp, which hold the release that we compile. */
import { join } from "node:path";
import { getFolder, unpackNpm } from "./fetch.ts";

/** The release of node-llama-cpp whose packages hold our llama.cpp. */
const VERSION = "3.22.1";

/** The packages, by npm's digests of them. */
export const LLAMA_PACKAGES = {
  "linux-x64": "sha512-5uCCDNqWCNfaAm8aR/Uzxbo4HBpKgNF91kCHPepKhgMgV2OAmatoefbOlMihsqCiH2Od35E/eUHQCFbfRBJuOg==",
  "linux-x64-vulkan": "sha512-bBxqU+JOcBu1nb5Qj2zcMci+JByT1E8EajHvYodyNfVIPkEhXh+/HMwR1/BT7xP08YK0hks+kM8fglER0P8JEg==",
  "linux-x64-cuda": "sha512-8rQCjyNNLZJUFit+YpjwlC4hwkKgOMIkB2wuycKBf8NU2O3ySKbiWZQ8aw9ku2nUTXjSnUIrE6KB88itduTBuA==",
  "linux-arm64": "sha512-W+7naKCXX9/eEjjFmRS8vvx91QyLXDbeFxexZc3bh/PtQABZgmRL3C0AtYYXn4YGTj/3Qor4lWZn2tpjZFPLdQ==",
} as const;

/** One of them. */
export type LlamaPackage = keyof typeof LLAMA_PACKAGES;

/** What npm calls a package, with its version. */
export function llamaPackage(name: LlamaPackage): string {
  return `@node-llama-cpp/${name}@${VERSION}`;
}

/**
 * The package's folder in the cache, fetched first if it is not there.
 *
 * @throws {BuildError} npm cannot get it, or gives another file than ours.
 */
export async function getLlama(cache: string, name: LlamaPackage): Promise<string> {
  const folder = join(cache, "packages", `node-llama-cpp-${name}-${VERSION}`);
  await getFolder(folder, async (temporary) => {
    await unpackNpm(llamaPackage(name), join(temporary, "of"), LLAMA_PACKAGES[name]);
    return join(temporary, "of", "package");
  });
  return folder;
}
