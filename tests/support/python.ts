// Finds a Python that has packages of python_requirements.txt, or makes one where tests have their full size.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { cacheDirectory } from "../../ffi/host/paths.ts";
import { ROOT } from "./child.ts";
import { slow } from "./slow.ts";

const REQUIREMENTS = join(ROOT, "tests", "support", "python_requirements.txt");

/**
 * The path of a Python that has these modules, or why there is none. It is LLAMASAUR_PYTHON, or `python3`, which has some
 * where scripts/test.sh runs the gate; in `deno task slow` it is one that has all packages of the requirements.
 */
export function pythonWith(...modules: readonly string[]): { readonly python: string } | { readonly lacks: string } {
  const here = [process.env["LLAMASAUR_PYTHON"], "python3"].find((python) => python && runs(python, modules));
  if (here) return { python: here };
  const names = modules.join(", ");
  if (!slow) return { lacks: `no Python with ${names}: \`deno task slow\` installs one` };
  const cache = cacheDirectory();
  if (cache === undefined) return { lacks: `there is no cache directory for a Python with ${names}` };
  const key = createHash("sha256").update(readFileSync(REQUIREMENTS)).digest("hex").slice(0, 12);
  const folder = join(cache, "python", `clients-${key}`);
  const python = join(folder, "bin", "python");
  if (existsSync(python) && runs(python, modules)) return { python };
  const made = make(folder);
  return made === "" && runs(python, modules) ? { python } : { lacks: `no Python with ${names} can be made: ${made}` };
}

function runs(python: string, modules: readonly string[]): boolean {
  return spawnSync(python, ["-c", `import ${modules.join(", ")}`]).status === 0;
}

/** Makes a virtual environment; what went wrong, or "". A virtual environment knows its path, so it is made in its place. */
function make(folder: string): string {
  mkdirSync(join(folder, ".."), { recursive: true });
  if (existsSync(folder)) renameSync(folder, `${folder}.${process.pid}.old`);
  const commands = [
    ["python3", "-m", "venv", folder],
    [join(folder, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check", "-r", REQUIREMENTS],
  ];
  for (const [program, ...args] of commands) {
    const { status, stderr } = spawnSync(program!, args, { encoding: "utf8" });
    if (status !== 0) return String(stderr ?? "").slice(-300) || `${program} did not run`;
  }
  rmSync(`${folder}.${process.pid}.old`, { recursive: true, force: true });
  return "";
}
