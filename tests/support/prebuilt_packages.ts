// The packages of prebuilt libraries as a registry has them: the folder of dist/ for this machine where it is of now, else one
// that is made of the checkout's own library. What a release has, also without a release's compiler.
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { assertEquals } from "@std/assert";
import { libraryFileName } from "../../ffi/host/paths.ts";
import { VERSION } from "../../ffi/version.ts";
import { manifest, native } from "../../packages/manifest.ts";
import { type Platform, PLATFORMS } from "../../packages/platforms.ts";
import { runChild } from "./child.ts";
import { folderOf, lackingOf } from "./dist.ts";
import type { Packed } from "./npm_registry.ts";
import { emptyHome, LIBRARY, npm } from "./packaging.ts";

/** The platform that the tests run on. */
export const here: Platform | undefined = PLATFORMS.find(({ platform, arch }) =>
  platform === process.platform && arch === process.arch
);

/** `@llamasaur/native` and a package for each platform; only this machine's has a library. */
export async function prebuiltPackages(directory: string, version: string = VERSION): Promise<Packed[]> {
  const own = version === VERSION && lackingOf(here!) === undefined
    ? await packedFolder(directory, folderOf(here!))
    : await packed(directory, here!.name, {
      "package.json": JSON.stringify(await manifest(here!, version, LIBRARY, {})),
      LICENSES: "",
    });
  const others = PLATFORMS.filter((one) => one !== here).map(async (platform) => {
    const tarball = join(directory, `${platform.name}.tgz`);
    copyFileSync(own.tarball, tarball); // which nobody is to fetch
    return { manifest: await manifest(platform, version, LIBRARY, {}) as Packed["manifest"], tarball };
  });
  return [own, await packed(directory, "native", native(version)), ...await Promise.all(others)];
}

/** Puts the package of this machine into the `node_modules` of a folder. */
export async function placePackage(folder: string, version: string = VERSION, abi?: number): Promise<void> {
  const json = await manifest(here!, version, LIBRARY, {});
  const place = join(folder, "node_modules", json.name as string);
  mkdirSync(place, { recursive: true });
  copyFileSync(LIBRARY, join(place, libraryFileName()));
  const llamasaur = { ...json.llamasaur as Record<string, unknown>, ...(abi === undefined ? {} : { abi }) };
  writeFileSync(join(place, "package.json"), JSON.stringify({ ...json, llamasaur }));
}

async function packed(directory: string, name: string, files: Readonly<Record<string, string>>): Promise<Packed> {
  const folder = join(directory, `of ${name}`);
  mkdirSync(folder);
  for (const [path, content] of Object.entries(files)) writeFileSync(join(folder, path), content);
  if (name !== "native") copyFileSync(LIBRARY, join(folder, libraryFileName()));
  return await packedFolder(directory, folder);
}

async function packedFolder(directory: string, folder: string): Promise<Packed> {
  const outcome = await runChild(npm!, ["pack", "--silent", "--pack-destination", directory], {
    cwd: folder,
    env: emptyHome(directory),
  });
  assertEquals(outcome.code, 0, outcome.stderr);
  const json = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  return { manifest: json, tarball: join(directory, outcome.stdout.trim()) };
}
