import { test } from "node:test";
import { assertEquals } from "@std/assert";
import process from "node:process";
import { hub } from "../../../cli/doctor/caches.ts";

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
  const before = process.env["HF_ENDPOINT"];
  try {
    for (const [endpoint, wanted] of cases) {
      process.env["HF_ENDPOINT"] = endpoint;
      const finding = await hub(AbortSignal.timeout(60_000));
      assertEquals([finding.state, finding.remedy], ["warning", wanted], endpoint);
      assertEquals(/pass.word|user/.exec(JSON.stringify(finding))?.[0], undefined);
    }
  } finally {
    if (before === undefined) delete process.env["HF_ENDPOINT"];
    else process.env["HF_ENDPOINT"] = before;
  }
});
