// The packages of prebuilt libraries as a registry has them: the folder of dist/ for this machine where it is of now, else one
// that is made of the checkout's own library. What a release has, also without a release's compiler.
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { libraryFileName } from "../../ffi/host/paths.ts";
import { VERSION } from "../../ffi/version.ts";
import { manifest, native } from "../../packages/manifest.ts";
import { type Platform, PLATFORMS } from "../../packages/platforms.ts";
import { folderOf, lackingOf } from "./dist.ts";
import type { Packed } from "./npm_registry.ts";
import { LIBRARY, once, packFolder, tar } from "./packaging.ts";

/** The platform that the tests run on. */
export const here: Platform | undefined = PLATFORMS.find(({ platform, arch }) =>
  platform === process.platform && arch === process.arch
);

/** `@llamasaur/native` and a package for each platform; only this machine's has a library. */
export async function prebuiltPackages(directory: string, version: string = VERSION): Promise<Packed[]> {
  const own = version === VERSION && lackingOf(here!) === undefined
    ? await once(folderOf(here!), directory, () => packFolder(directory, folderOf(here!)))
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

/** A package of these files, and of the library if it is a platform's. */
async function packed(directory: string, name: string, files: Readonly<Record<string, string>>): Promise<Packed> {
  return await once(`${name} ${files["package.json"]}`, directory, async () => {
    const above = join(directory, `of ${name}`);
    const folder = join(above, "package");
    mkdirSync(folder, { recursive: true });
    for (const [path, content] of Object.entries(files)) writeFileSync(join(folder, path), content);
    if (name !== "native") copyFileSync(LIBRARY, join(folder, libraryFileName()));
    const json = JSON.parse(files["package.json"]!) as Packed["manifest"];
    const tarball = join(directory, `llamasaur-${name}-${json.version}.tgz`); // as npm names it
    await tar("-czf", tarball, "-C", above, "package");
    return { manifest: json, tarball };
  });
}
