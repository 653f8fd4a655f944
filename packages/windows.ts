/** Gets what runs programs of Windows on Linux: the wine of Debian 13 in a folder, and the runtimes from npm. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { BuildError } from "../build/failure.ts";
import { which } from "../build/toolchain.ts";
import { getFolder, must, pinnedRuntimes, unpackNpm } from "./fetch.ts";

/** The first Debian whose wine (10) has what V8 reserves memory with; the one of Debian 12 (wine 8) has not. */
const DEBIAN = "trixie";
const MIRROR = "http://deb.debian.org/debian";

/** What wine's drive Z: is there, instead of all of Linux: Windows has no /proc and no /dev, and tests look for them. */
const DRIVE = "/drive_z";

/**
 * Runs a program in the folder: SYSTEM MOUNTS PROGRAM…. A mount is a folder of this machine, at the same place of drive Z:, or
 * `FOLDER=PLACE`. The mounts are in a namespace of their own, which ends with the last program in it: wine's server, some
 * seconds later. In a namespace of processes the program would be the first one, which no Ctrl-C ends.
 */
const ENTER = `
system=$1 mounts=$2 here=$PWD
shift 2
prefix=$system/root/.wine/dosdevices
[ ! -d "$prefix" ] || ln -sfn ${DRIVE} "$prefix/z:"
mount -t proc proc "$system/proc"
mount --rbind /dev "$system/dev"
IFS=:
for one in $mounts; do
  folder=\${one%=*} place=$system${DRIVE}\${one#*=}
  mkdir -p "$place"
  mount --bind "$folder" "$place"
done
mkdir -p "$system${DRIVE}$here"
exec chroot "$system" /bin/sh -c 'cd "$1" && shift && exec "$@"' sh "${DRIVE}$here" "$@"
`;

/** Commands that run a program for Windows. */
export interface Windows {
  readonly deno: readonly string[];
  readonly bun: readonly string[];
}

/**
 * Wine and the two runtimes for Windows, fetched into the cache first if they are not there.
 *
 * @param mounts What programs are to see besides, such as the checkout: see above.
 * @throws {BuildError} It is not root, debootstrap is not installed, or a registry lacks a package.
 */
export async function getWindows(
  cache: string,
  mounts: readonly string[],
  say: (line: string) => void,
): Promise<Windows> {
  if (process.getuid?.() !== 0 || !await which("debootstrap")) {
    throw new BuildError("wine runs in a folder of its own: be root, and apt-get install debootstrap");
  }
  const { deno, bun } = await pinnedRuntimes();
  const root = join(cache, "windows", `${DEBIAN}-deno-${deno}-bun-${bun}`);
  const [system, runtimes] = [join(root, "system"), join(root, "runtimes")];
  const programs = [join(runtimes, "deno", "package"), join(runtimes, "bun", "package", "bin")];
  const wine = (place: string, shared: readonly string[]): string[] => [
    ...["unshare", "--mount", "sh", "-euc", ENTER, "sh", place, shared.join(":")],
    ...["env", "-i", "HOME=/root", "PATH=/usr/bin:/bin", "LANG=C.UTF-8", "WINEDEBUG=-all", "NO_COLOR=1"],
    `WINEPATH=${programs.map((folder) => windowsPath(folder)).join(";")}`,
  ];
  await getFolder(root, async (temporary) => {
    say(`getting wine, Deno ${deno} and Bun ${bun} for Windows (1.5 GB)`);
    await mkdir(join(temporary, "runtimes"));
    await unpackNpm(`@deno/win32-x64@${deno}`, join(temporary, "runtimes", "deno"));
    await unpackNpm(`@oven/bun-windows-x64@${bun}`, join(temporary, "runtimes", "bun"));
    const place = join(temporary, "system");
    // It mounts /proc in the folder, which must not be there any more when a half-made one is removed.
    const bootstrap = ["unshare", "--mount", "debootstrap", "--variant=minbase"];
    await must([...bootstrap, "--include=wine,wine64", DEBIAN, place, MIRROR]);
    // wine's server writes the registry, and so PATH, when it ends
    await must([...wine(place, []), "sh", "-c", "wineboot --init && wineserver --wait"], { cwd: "/" });
  });
  const command = [...wine(system, [runtimes, ...mounts]), "wine"];
  const [denoExe, bunExe] = [join(programs[0]!, "deno.exe"), join(programs[1]!, "bun.exe")];
  return { deno: [...command, windowsPath(denoExe)], bun: [...command, windowsPath(bunExe)] };
}

/** What a program for Windows calls a file of this machine. */
function windowsPath(file: string): string {
  return `Z:${file.replaceAll("/", "\\")}`;
}
