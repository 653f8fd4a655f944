import { after, before, test } from "node:test";
import { existsSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { assertMatch } from "@std/assert";
import { convert } from "../../convert.ts";
import { candidates } from "../../ffi/open.ts";
import { fixture } from "../support/checkpoint.ts";
import { runChild } from "../support/child.ts";
import { ggufOf, HubServer, NAME } from "../support/hub_server.ts";
import { libraryMissing } from "../support/references.ts";

const WORKER = fileURLToPath(new URL("permissions_worker.ts", import.meta.url));
const skip = !("Deno" in globalThis) || libraryMissing; // Bun has no permissions

let directory = "";
let hub: HubServer;
before(async () => {
  if (skip) return;
  directory = realpathSync(mkdtempSync(join(tmpdir(), "llamasaur-permissions-")));
  await convert(fixture("tiny_bert"), join(directory, "tiny.gguf"));
  hub = await HubServer.start({ "owner/repo/model.gguf": ggufOf(1000) });
});
after(async () => {
  await hub?.[Symbol.asyncDispose]();
  if (directory) rmSync(directory, { recursive: true });
});

/** What a call says with these permissions alone; a question on a terminal would be refused. */
async function ask(permissions: readonly string[], args: readonly string[]): Promise<string> {
  const command = ["run", "--quiet", "--no-prompt", ...permissions, WORKER, ...args];
  const { stdout, stderr } = await runChild(process.execPath, command, { timeout: 60_000 });
  return stdout.trim() || stderr;
}

interface Need {
  readonly call: string;
  readonly args: () => string[];
  /** All that it needs. */
  readonly permissions: () => string[];
}

const library = (): string => candidates().find(({ path, skipped }) => !skipped && existsSync(path))!.path;
const model = (): string => join(directory, "tiny.gguf");

// What README and SECURITY.md promise.
const NEEDS: readonly Need[] = [
  { call: "embed", args: () => [model(), library()], permissions: () => [`--allow-ffi=${library()}`] },
  { call: "listDevices", args: () => [library()], permissions: () => [`--allow-ffi=${library()}`] },
  {
    call: "download",
    args: () => [NAME, hub.endpoint, join(directory, "hub")],
    permissions: () => [
      `--allow-net=${[hub.endpoint, hub.storage].map((origin) => new URL(origin).host)}`,
      `--allow-read=${join(directory, "hub")}`,
      `--allow-write=${join(directory, "hub")}`,
    ],
  },
  {
    call: "convert",
    args: () => [fixture("tiny_bert"), join(directory, "made.gguf")],
    permissions: () => [`--allow-read=${fixture("tiny_bert")},${directory}`, `--allow-write=${directory}`],
  },
  {
    call: "quantize",
    args: () => [model(), join(directory, "q8.gguf"), library()],
    permissions: () => [`--allow-ffi=${library()}`, `--allow-read=${directory}`, `--allow-write=${directory}`],
  },
  {
    call: "build",
    args: () => [join(directory, "lib")],
    // CMake finds Windows' compiler: nobody asks one for its version before
    permissions: () => ["--allow-env", "--allow-read", ...process.platform === "win32" ? [] : ["--allow-run"]],
  },
];

for (const { call, args, permissions } of NEEDS) {
  test(`${call}() works with its permissions, and without any one of them the error names it`, { skip }, async () => {
    const all = permissions();
    for (const missing of all) {
      const flag = missing.split("=")[0]!;
      const words = await ask(all.filter((one) => one !== missing), [call, ...args()]);
      assertMatch(words, new RegExp(`^(NotCapable|BuildError): .*${flag}`));
    }
    assertMatch(await ask(all, [call, ...args()]), /^ok$/m);
  });
}

test("resolveModel() needs no permission to say where it may not look", { skip }, async () => {
  const words = await ask([], ["resolveModel", "bge-m3"]);
  assertMatch(words, /^ModelNotFoundError: .*no permission \(--allow-read\).*\(--allow-env\)$/s);
});
