/** What a package holds beside its library: package.json, a README, and the licences of all that is inside. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { BuildError } from "../build/failure.ts";
import { libraryFileName } from "../ffi/host/paths.ts";
import { abi } from "../ffi/symbols.ts";
import { LLAMA_VERSION } from "../ffi/version.ts";
import type { Source } from "../build/source.ts";
import type { Crossed } from "./cross.ts";
import { type Platform, PLATFORMS, type Shim, type Target } from "./platforms.ts";
import type { Shimmed } from "./shim.ts";
import { ZIG_VERSION } from "./zig.ts";

/** The scope that all packages are in. */
export const SCOPE = "@llamasaur";

/** What a library was made by, and for or against what. */
export type Made = Readonly<Record<string, string>>;

/** What a whole library is made by. */
export function madeByZig({ target }: Platform): Made {
  return { zig: ZIG_VERSION, target };
}

/**
 * The library's package.json, with what the library was made of.
 *
 * @param made By which compiler, and so on.
 */
export async function manifest(
  platform: Target,
  version: string,
  library: string,
  made: Made,
): Promise<Record<string, unknown>> {
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
    llamasaur: { abi: abi(), llama: LLAMA_VERSION, ...made, sha512 },
  };
}

/** What the package's page says. */
export function readme(platform: Target): string {
  return `# ${SCOPE}/${platform.name}

The native library of [llamasaur](https://www.npmjs.com/package/@llamasaur/llamasaur) for ${platform.name} (${platform.needs}).
It is found by llamasaur itself; there is nothing to import.
`;
}

/** The package of a shim: its `path` is for Deno, which tells of no other file in a package. */
export async function shimPackage(
  shim: Shim,
  version: string,
  library: string,
  made: Made,
): Promise<Readonly<Record<string, string>>> {
  const json = await manifest(shim, version, library, made);
  const file = libraryFileName(shim.platform);
  const whole = {
    ...json,
    license: "MIT",
    type: "module",
    exports: { ".": { types: "./index.d.ts", default: "./index.js" }, ...json.exports as Record<string, string> },
    files: [file, "index.js", "index.d.ts", "LICENSES"],
  };
  return {
    "package.json": `${JSON.stringify(whole, null, 2)}\n`,
    "index.d.ts": "/** The path of the library. */\nexport declare const path: string;\n",
    "index.js": `import { fileURLToPath } from "node:url";

export const path = fileURLToPath(new URL("./${file}", import.meta.url));
`,
    "README.md": `# ${SCOPE}/${shim.name}

[llamasaur](https://www.npmjs.com/package/@llamasaur/llamasaur)'s own part of its native library, for a llama.cpp ${LLAMA_VERSION} that somebody
else has built, such as node-llama-cpp's packages for Vulkan and CUDA. \`llamasaur-build --llama DIR\` takes it where there is no
compiler; there is nothing to import.
`,
  };
}

/** A licence: whose it is, the file that has it, and which part of the file it is. */
type Part = readonly [title: string, path: string, notice?: (text: string) => string];

/** The licences of everything that the linker put into a whole library. */
export async function licences(platform: Platform, { source, zig }: Crossed, root: string): Promise<string> {
  const cpu = join(source.directory, "ggml", "src", "ggml-cpu");
  const parts: Part[] = [
    ...ownLicences(source, root),
    // files of ggml's that have a notice of their own
    ["llamafile's sgemm (ggml)", join(cpu, "llamafile", "sgemm.cpp"), headOf],
    ["YaRN (ggml)", join(cpu, "ops.cpp"), aboveFunction("rope_yarn")],
    ["libc++ (LLVM)", join(zig.lib, "libcxx", "LICENSE.TXT")],
    ["libc++abi (LLVM)", join(zig.lib, "libcxxabi", "LICENSE.TXT")],
    ["libunwind (LLVM)", join(zig.lib, "libunwind", "LICENSE.TXT")],
    ["compiler-rt (zig)", join(zig.lib, "..", "LICENSE")],
  ];
  if (platform.platform === "win32") parts.push(["mingw-w64", join(zig.lib, "libc", "mingw", "COPYING")]);
  return await texts(parts);
}

/** Those of a shim, which has headers of llama.cpp and ggml inside. */
export async function shimLicences({ source }: Shimmed, root: string): Promise<string> {
  return await texts(ownLicences(source, root));
}

function ownLicences(source: Source, root: string): Part[] {
  return [["llamasaur", join(root, "LICENSE")], ["llama.cpp and ggml", join(source.directory, "LICENSE")]];
}

async function texts(parts: readonly Part[]): Promise<string> {
  const read = parts.map(async ([title, path, notice = (text) => text]) => {
    const line = "=".repeat(title.length);
    const text = notice(await readFile(path, "utf8")).trim();
    if (text === "") throw new BuildError(`${path} has no notice of ${title} any more: look where it is now`);
    return `${line}\n${title}\n${line}\n\n${text}\n`;
  });
  return (await Promise.all(read)).join("\n\n");
}

/** The comment at the head of a source; empty where there is none. */
export function headOf(text: string): string {
  return uncommented(/^(?:\/\/.*\r?\n)+/.exec(text)?.[0] ?? "");
}

/** The comment above a function of C; empty where there is none. */
export function aboveFunction(name: string): (text: string) => string {
  const pattern = new RegExp(`((?:^//.*\\r?\\n)+)static \\w+ ${name}\\(`, "m");
  return (text) => uncommented(pattern.exec(text)?.[1] ?? "");
}

function uncommented(lines: string): string {
  return lines.replace(/^\/\/ ?/gm, "");
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
