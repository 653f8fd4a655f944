// Makes one program of the command line that carries the library: `deno task compile [--library PATH] [--out FILE]`.
// Bun makes it (`bun build --compile`), for this system and processor; the library is by default the checkout's. A library that was
// built with --portable, or a package's of dist/, makes a program for other machines like this one.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { libraryFileName, targetName } from "../ffi/host/paths.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** The program's beginning: a library that is named goes before the one that it carries. */
function beginning(library: string): string {
  return `import library from ${JSON.stringify(library)} with { type: "file" };
import process from "node:process";
process.env["LLAMASAUR_LIBRARY"] ||= library;
const { main } = await import(${JSON.stringify(join(ROOT, "cli", "main.ts"))});
await main(process.argv.slice(2));
`;
}

/** Makes the program; gives what Bun said if it could not. */
function compile(library: string, out: string): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), "llamasaur-compile-"));
  try {
    const entry = join(folder, "llamasaur.ts");
    writeFileSync(entry, beginning(library));
    const { status, stdout, stderr, error } = spawnSync("bun", ["build", "--compile", entry, "--outfile", out], {
      encoding: "utf8",
      cwd: ROOT,
    });
    return status === 0 ? undefined : `${error?.message ?? ""}${stdout ?? ""}${stderr ?? ""}`;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function main(): number {
  const { values } = parseArgs({ options: { library: { type: "string" }, out: { type: "string" } } });
  const library = resolve(values.library ?? join(ROOT, "lib", targetName(), libraryFileName()));
  const out = resolve(values.out ?? join(ROOT, "dist", process.platform === "win32" ? "llamasaur.exe" : "llamasaur"));
  if (!existsSync(library)) {
    console.error(`error: there is no library ${library}: build it with \`deno task build\`, or give --library`);
    return 1;
  }
  const failure = compile(library, out);
  if (failure !== undefined) {
    console.error(`error: Bun could not make it:\n${failure}`);
    return 1;
  }
  console.error(`${(statSync(out).size / 1e6).toFixed(1)} MB`);
  console.log(out);
  return 0;
}

process.exitCode = main();
