import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import process from "node:process";
import { join } from "@std/path";
import { caches, hub } from "../../../cli/doctor/caches.ts";
import { inDirectory } from "../../support/checkpoint.ts";

const windows = process.platform === "win32"; // remedies are PowerShell's there

test("hub() of an HF_ENDPOINT with a password has the line that leaves it out, and shows none of it", async () => {
  const [set, unset] = windows
    ? ["$env:HF_ENDPOINT = 'http://127.0.0.1:1/hub'", "Remove-Item env:HF_ENDPOINT"]
    : ["export HF_ENDPOINT=http://127.0.0.1:1/hub", "unset HF_ENDPOINT"];
  const cases = [
    ["http://user:pass-word@127.0.0.1:1/hub/", set],
    ["http://pass-word@127.0.0.1:1/hub", set],
    ["http://user:pass/word@127.0.0.1:1", unset], // of what is no URL nobody knows what is secret
    ["http://user:1/pass-word@127.0.0.1", unset], // to a URL the password is a path
    ["http://user:1@pass/word@127.0.0.1", unset],
    ["http://pass-word#x@127.0.0.1", unset],
    ["user:pass-word@127.0.0.1", unset],
  ] as const;
  for (const [endpoint, wanted] of cases) {
    using _ = variable("HF_ENDPOINT", endpoint);
    const finding = await hub(AbortSignal.timeout(60_000));
    assertEquals([finding.state, finding.remedy], ["warning", wanted], endpoint);
    assertEquals(/pass.word|user/.exec(JSON.stringify(finding))?.[0], undefined);
  }
});

test("caches() has the bytes of every file below a folder once, also where the cache has a link to it", async () => {
  await inDirectory(async (directory) => {
    using _ = variable("XDG_CACHE_HOME", join(directory, "own"));
    const cache = join(directory, "hub");
    const [blobs, snapshot] = ["blobs", join("snapshots", "0")].map((name) => join(cache, "models--a--b", name));
    for (const folder of [blobs!, snapshot!]) mkdirSync(folder, { recursive: true });
    writeFileSync(join(blobs!, "1"), "x".repeat(1000));
    writeFileSync(join(cache, "version.txt"), "1");
    if (!windows) {
      symlinkSync(join(blobs!, "1"), join(snapshot!, "model.gguf"));
      symlinkSync(cache, join(snapshot!, "loop"));
    }
    for (const [path, size] of [[cache, 1001], [join(cache, "none"), null]] as const) {
      using _ = variable("HF_HUB_CACHE", path);
      assertEquals((await caches())[0]!.details!.size, size);
    }
  });
});

/** Sets a variable for a while. */
function variable(name: string, value: string): Disposable {
  const before = process.env[name];
  process.env[name] = value;
  return {
    [Symbol.dispose](): void {
      if (before === undefined) delete process.env[name];
      else process.env[name] = before;
    },
  };
}
