/**
 * Makes the npm packages of prebuilt libraries: `deno task prebuilt [NAME…] [--jobs N]` writes `dist/<name>/`, ready for
 * `npm publish`. Without a name it makes all of them; what has not changed is not compiled again.
 */
import { copyFile, mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { BuildError } from "../build/failure.ts";
import { cacheDirectory, libraryFileName, packageRoot } from "../ffi/host/paths.ts";
import { cross } from "./cross.ts";
import { licences, manifest, native, readme } from "./manifest.ts";
import { type Platform, PLATFORMS } from "./platforms.ts";

const ROOT = fileURLToPath(packageRoot());

/** Makes one platform's package. */
async function make(platform: Platform, version: string, jobs: number | undefined): Promise<void> {
  const cache = cacheDirectory();
  if (cache === undefined) throw new BuildError("the user cache is unknown: set XDG_CACHE_HOME or HOME");
  const say = (line: string): void => console.error(line);
  const crossed = await cross(platform, { cache, jobs, say });
  const folder = join(ROOT, "dist", platform.name);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const file = join(folder, libraryFileName(platform.platform));
  await copyFile(crossed.product, file);
  const json = await manifest(platform, version, file);
  await writeFile(join(folder, "package.json"), `${JSON.stringify(json, null, 2)}\n`);
  await writeFile(join(folder, "README.md"), readme(platform));
  await writeFile(join(folder, "LICENSES"), await licences(platform, crossed, ROOT));
  console.log(`dist/${platform.name}: ${((await stat(file)).size / 1e6).toFixed(2)} MB`);
}

/** Writes the package of Deno's users from JSR, which has no library of its own. */
async function makeNative(version: string): Promise<void> {
  const folder = join(ROOT, "dist", "native");
  await mkdir(folder, { recursive: true });
  for (const [name, content] of Object.entries(native(version))) await writeFile(join(folder, name), content);
  await copyFile(join(ROOT, "LICENSE"), join(folder, "LICENSE"));
}

/** The platforms that the command line names; all of them if it names none. */
function chosen(names: readonly string[]): readonly Platform[] {
  if (names.length === 0) return PLATFORMS;
  return names.map((name) => {
    const found = PLATFORMS.find((one) => one.name === name);
    if (found) return found;
    throw new BuildError(`there is no platform ${name}: use one of ${PLATFORMS.map((one) => one.name).join(", ")}`);
  });
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    args: process.argv.slice(2),
    options: { jobs: { type: "string" } },
    allowPositionals: true,
  });
  const jobs = values.jobs === undefined ? undefined : Number(values.jobs);
  const { version } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8")) as { version: string };
  await makeNative(version);
  for (const platform of chosen(positionals)) await make(platform, version, jobs);
}

if (import.meta.main) {
  await main().catch((error) => {
    if (!(error instanceof BuildError)) throw error;
    console.error(`error: ${error.message}`);
    process.exitCode = 1;
  });
}
