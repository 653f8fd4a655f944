// TypeScript's compilers, what a project installs beside them, and what they find in a project.
import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { findProgram, runChild } from "./child.ts";
import { compilers } from "./npm_package.ts";

const found = await compilers();
const node = findProgram("node");
const COMPILERS = "directory" in found ? join(found.directory, "node_modules") : "";

/** Why no compiler can be run, if so. */
export const noCompilers: string | undefined = !("directory" in found)
  ? `TypeScript's compilers cannot be had: ${found.reason}`
  : node === undefined
  ? "node is not on PATH"
  : undefined;

/** The compilerOptions that `bun init` writes. */
export const AS_BUN_INIT = {
  module: "Preserve",
  lib: ["ESNext"],
  target: "ESNext",
  types: ["bun"],
  moduleDetection: "force",
  strict: true,
  jsx: "react-jsx",
  allowJs: true,
  allowImportingTsExtensions: true,
  verbatimModuleSyntax: true,
  noEmit: true,
  noFallthroughCasesInSwitch: true,
  noUncheckedIndexedAccess: true,
  noImplicitOverride: true,
} as const;

/** Runs a compiler in a folder and gives what it found: `main.ts(3,4): error …`. */
export async function errorsOf(compiler: string, folder: string): Promise<string[]> {
  const tsc = join(COMPILERS, compiler, "bin", "tsc");
  const { stdout, stderr } = await runChild(node!, [tsc, "-p", folder, "--pretty", "false"], {
    cwd: folder,
    timeout: 120_000,
  });
  return `${stdout}${stderr}`.split("\n").filter((line) => line !== "" && !line.startsWith(" "));
}

/** Installs the types of the runtimes into a folder. */
export function linkTypes(folder: string): void {
  for (const name of ["@types", "bun-types"]) symlinkSync(join(COMPILERS, name), join(folder, "node_modules", name));
}
