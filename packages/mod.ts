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
import { llamaPackage } from "./llama.ts";
import { licences, madeByZig, manifest, native, readme, shimLicences, shimPackage } from "./manifest.ts";
import { type Platform, PLATFORMS, type Shim, SHIMS, type Target } from "./platforms.ts";
import { shim } from "./shim.ts";

const ROOT = fileURLToPath(packageRoot());

const say = (line: string): void => console.error(line);

/** How a release's packages are made. */
interface Release {
  readonly version: string;
  readonly cache: string;
  readonly jobs: number | undefined;
}

/** Makes one platform's package. */
async function make(platform: Platform, { version, ...how }: Release): Promise<void> {
  const crossed = await cross(platform, { ...how, say });
  const json = await manifest(platform, version, crossed.product, madeByZig(platform));
  await write(platform, crossed.product, {
    "package.json": `${JSON.stringify(json, null, 2)}\n`,
    "README.md": readme(platform),
    "LICENSES": await licences(platform, crossed, ROOT),
  });
}

/** Makes the package of our own files alone, for one processor. */
async function makeShim(to: Shim, { version, ...how }: Release): Promise<void> {
  const made = await shim(to, { ...how, say });
  const files = await shimPackage(to, version, made.product, {
    compiler: made.compiler,
    against: llamaPackage(to.against),
  });
  await write(to, made.product, { ...files, "LICENSES": await shimLicences(made, ROOT) });
}

/** Writes a package's folder anew. */
async function write(to: Target, product: string, files: Readonly<Record<string, string>>): Promise<void> {
  const folder = join(ROOT, "dist", to.name);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const file = join(folder, libraryFileName(to.platform));
  await copyFile(product, file);
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
  console.log(`dist/${to.name}: ${((await stat(file)).size / 1e6).toFixed(2)} MB`);
}

/** Writes the package of Deno's users from JSR, which has no library of its own. */
async function makeNative(version: string): Promise<void> {
  const folder = join(ROOT, "dist", "native");
  await mkdir(folder, { recursive: true });
  for (const [name, content] of Object.entries(native(version))) await writeFile(join(folder, name), content);
  await copyFile(join(ROOT, "LICENSE"), join(folder, "LICENSE"));
}

/** What the command line names; everything if it names nothing. */
function chosen(names: readonly string[]): { platforms: readonly Platform[]; shims: readonly Shim[] } {
  const known = [...PLATFORMS, ...SHIMS].map((one) => one.name);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new BuildError(`there is no platform ${unknown}: use one of ${known.join(", ")}`);
  const isMeant = ({ name }: Target): boolean => names.length === 0 || names.includes(name);
  return { platforms: PLATFORMS.filter(isMeant), shims: SHIMS.filter(isMeant) };
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    args: process.argv.slice(2),
    options: { jobs: { type: "string" } },
    allowPositionals: true,
  });
  const jobs = values.jobs === undefined ? undefined : Number(values.jobs);
  if (jobs !== undefined && !(Number.isSafeInteger(jobs) && jobs > 0)) {
    throw new BuildError(`--jobs is ${values.jobs}: give a whole number of 1 or more`);
  }
  const cache = cacheDirectory();
  if (cache === undefined) throw new BuildError("the user cache is unknown: set XDG_CACHE_HOME or HOME");
  const { version } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8")) as { version: string };
  const { platforms, shims } = chosen(positionals);
  const release: Release = { version, cache, jobs };
  await makeNative(version);
  for (const platform of platforms) await make(platform, release);
  for (const one of shims) await makeShim(one, release);
}

if (import.meta.main) {
  await main().catch((error) => {
    if (!(error instanceof BuildError)) throw error;
    console.error(`error: ${error.message}`);
    process.exitCode = 1;
  });
}
