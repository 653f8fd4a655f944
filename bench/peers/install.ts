/** What the peers need, got once into the user's cache: packages of Python and of Node, and MiniLM in their formats. */
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { run } from "../../build/run.ts";
import { minilmCheckpoint } from "../../tests/support/minilm_head.ts";
import { crossEncoderCheckpoint, madeOnce, ROOT } from "../models.ts";

const WORDS = 5; // last lines of a failure

/** Absolute path of a file beside this one. */
export function beside(name: string): string {
  return join(ROOT, "bench", "peers", name);
}

/**
 * A Python that has what requirements.txt names: LLAMASAUR_BENCH_PYTHON, or an environment made here (gigabytes).
 *
 * @throws {Error} pip cannot install it.
 */
export async function python(): Promise<string> {
  const given = process.env["LLAMASAUR_BENCH_PYTHON"];
  if (given) return given;
  const directory = await madeOnce(keyed("python", "requirements.txt"), async (directory) => {
    await must(["python3", "-m", "venv", directory]);
    const pip = ["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"];
    await must([pythonIn(directory), ...pip, "--requirement", beside("requirements.txt")]);
  });
  return pythonIn(directory);
}

/**
 * A folder with the packages of node_packages.json, and our programs that use them: imports are looked for from there.
 *
 * @throws {Error} npm cannot install them.
 */
export async function nodeFolder(): Promise<string> {
  const folder = await madeOnce(keyed("node", "node_packages.json"), async (directory) => {
    copyFileSync(beside("node_packages.json"), join(directory, "package.json"));
    const options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"];
    await must(["npm", "install", ...options], directory);
  });
  for (const name of ["answers.mjs", "node_llama_cpp.mjs", "transformers_js.mjs"]) {
    copyFileSync(beside(name), join(folder, name));
  }
  return folder;
}

/** MiniLM, or the cross-encoder of it, in Hugging Face's format. */
export async function checkpoint(workload: string): Promise<string> {
  if (workload === "rerank") return await crossEncoderCheckpoint();
  if (minilmCheckpoint !== undefined) return minilmCheckpoint;
  throw new Error("MiniLM's checkpoint is not in the cache: run scripts/download_models.sh minilm");
}

/** The same as a folder of ONNX and OpenVINO files. */
export async function exported(workload: string): Promise<string> {
  const kind = workload === "rerank" ? "rerank" : "embed";
  const source = await checkpoint(workload);
  return await madeOnce(keyed(`onnx-${kind}`, "requirements.txt", "export.py"), async (directory) => {
    mkdirSync(directory, { recursive: true });
    await must([await python(), beside("export.py"), kind, source, directory]);
  });
}

/** A name with a hash of what it is made by. */
export function keyed(name: string, ...files: readonly string[]): string {
  const hash = createHash("sha256");
  for (const file of files) hash.update(readFileSync(beside(file)));
  return `${name}-${hash.digest("hex").slice(0, 12)}`;
}

function pythonIn(directory: string): string {
  return process.platform === "win32" ? join(directory, "Scripts", "python.exe") : join(directory, "bin", "python");
}

/** Runs a command to its end. */
export async function must(command: readonly string[], cwd?: string, signal?: AbortSignal): Promise<void> {
  const { code, output } = await run(command, { cwd, signal });
  if (code === 0) return;
  throw new Error(`${command.slice(0, 4).join(" ")} failed: ${lastWords(output)}`);
}

/** What a program that failed said last, in one line. */
export function lastWords(output: string): string {
  return output.trim().split("\n").slice(-WORDS).join(" | ");
}
