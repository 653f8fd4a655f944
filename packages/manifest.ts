/** What a package holds beside its library: package.json, a README, and the licences of all that is inside. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { libraryFileName } from "../ffi/host/paths.ts";
import { abi } from "../ffi/symbols.ts";
import { LLAMA_VERSION } from "../ffi/version.ts";
import type { Crossed } from "./cross.ts";
import { type Platform, PLATFORMS } from "./platforms.ts";
import { ZIG_VERSION } from "./zig.ts";

/** The scope that all packages are in. */
export const SCOPE = "@llamasaur";

/** The library's package.json, with what the library was made of. */
export async function manifest(platform: Platform, version: string, library: string): Promise<Record<string, unknown>> {
  const sha512 = createHash("sha512").update(await readFile(library)).digest("hex");
  const file = libraryFileName(platform.platform);
  return {
    name: `${SCOPE}/${platform.name}`,
    version,
    description: `llamasaur's native library for ${platform.name}: ${platform.needs}`,
    license: "MIT AND Apache-2.0 WITH LLVM-exception",
    os: [platform.platform],
    cpu: [platform.arch],
    ...(platform.libc ? { libc: [platform.libc] } : {}),
    files: [file, "LICENSES"],
    exports: { [`./${file}`]: `./${file}`, "./package.json": "./package.json" },
    preferUnplugged: true, // Yarn would leave it in an archive, where no library can be opened
    llamasaur: { abi: abi(), llama: LLAMA_VERSION, zig: ZIG_VERSION, target: platform.target, sha512 },
  };
}

/** What the package's page says. */
export function readme(platform: Platform): string {
  return `# ${SCOPE}/${platform.name}

The native library of [llamasaur](https://www.npmjs.com/package/@llamasaur/llamasaur) for ${platform.name} (${platform.needs}).
It is found by llamasaur itself; there is nothing to import.
`;
}

/** The licences of everything that the linker put into the library. */
export async function licences(platform: Platform, { source, zig }: Crossed, root: string): Promise<string> {
  const parts: [title: string, path: string][] = [
    ["llamasaur", join(root, "LICENSE")],
    ["llama.cpp and ggml", join(source.directory, "LICENSE")],
    ["libc++ (LLVM)", join(zig.lib, "libcxx", "LICENSE.TXT")],
    ["libc++abi (LLVM)", join(zig.lib, "libcxxabi", "LICENSE.TXT")],
    ["libunwind (LLVM)", join(zig.lib, "libunwind", "LICENSE.TXT")],
    ["compiler-rt (zig)", join(zig.lib, "..", "LICENSE")],
  ];
  if (platform.platform === "win32") parts.push(["mingw-w64", join(zig.lib, "libc", "mingw", "COPYING")]);
  const texts = parts.map(async ([title, path]) => {
    const line = "=".repeat(title.length);
    return `${line}\n${title}\n${line}\n\n${(await readFile(path, "utf8")).trim()}\n`;
  });
  return (await Promise.all(texts)).join("\n\n");
}

/** The package that Deno's users from JSR import: it has the libraries as optional dependencies, and says where theirs is. */
export function native(version: string): Readonly<Record<string, string>> {
  const names = Object.fromEntries(
    PLATFORMS.map((one) => [`${one.platform}-${one.arch}`, [`${SCOPE}/${one.name}`, libraryFileName(one.platform)]]),
  );
  const json = {
    name: `${SCOPE}/native`,
    version,
    description: "Where llamasaur's native library for this system is",
    license: "MIT",
    type: "module",
    exports: { ".": { types: "./index.d.ts", default: "./index.js" }, "./package.json": "./package.json" },
    files: ["index.js", "index.d.ts"],
    optionalDependencies: optionalDependencies(version),
  };
  return {
    "package.json": `${JSON.stringify(json, null, 2)}\n`,
    "index.d.ts": `/** The path of the library; undefined where no package has one for this system. */
export declare const path: string | undefined;
/** The package.json that is beside it. */
export declare const manifest: { readonly version: string; readonly llamasaur: { readonly abi: number } } | undefined;
`,
    "index.js": `import { createRequire } from "node:module";
import process from "node:process";

const names = ${JSON.stringify(names, null, 2)};

function find() {
  const require = createRequire(import.meta.url);
  const [name, file] = names[\`\${process.platform}-\${process.arch}\`] ?? [];
  try {
    return { path: require.resolve(\`\${name}/\${file}\`), manifest: require(\`\${name}/package.json\`) };
  } catch {
    return {};
  }
}

export const { path, manifest } = find();
`,
    "README.md": `# ${SCOPE}/native

The native libraries of [llamasaur](https://www.npmjs.com/package/@llamasaur/llamasaur), one optional dependency for each system.
llamasaur itself asks for it; in a Deno project with a package.json, add it: \`deno add npm:${SCOPE}/native\`.
`,
  };
}

/** Every library's package at one exact version, as package.json lists them. */
export function optionalDependencies(version: string): Record<string, string> {
  return Object.fromEntries(PLATFORMS.map(({ name }) => [`${SCOPE}/${name}`, version]));
}
