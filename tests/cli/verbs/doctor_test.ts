import { test } from "node:test";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Buffer } from "node:buffer";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "@std/path";
import process from "node:process";
import type { Finding } from "../../../cli/doctor/finding.ts";
import { LLAMA_VERSION } from "../../../ffi/version.ts";
import { inDirectory } from "../../support/checkpoint.ts";
import { HubServer } from "../../support/hub_server.ts";
import { BUILT, LIBRARY } from "../../support/packaging.ts";
import { type Ended, type Given, MODEL, noModel, PROGRAM, runProgram, RUNTIME } from "../../support/program.ts";
import { libraryMissing } from "../../support/references.ts";
import { type GivenHere, runHere } from "../../support/run_here.ts";

const skip = libraryMissing || noModel;
const windows = process.platform === "win32"; // remedies are PowerShell's there

/** What `doctor` found, by check, and its exit code. */
interface Found {
  readonly code: number | null;
  readonly text: string;
  readonly found: Map<string, Finding>;
}

/** What `doctor --json` finds, as a program. */
async function findings(args: readonly string[], given: Given): Promise<Found> {
  return foundBy(await runProgram(["doctor", "--json", ...args], given));
}

/** The same within this process: where the library is not what it is about. */
async function findingsHere(args: readonly string[], given: GivenHere): Promise<Found> {
  return foundBy(await runHere(["doctor", "--json", ...args], given));
}

/** Each trouble has the one command that mends it. */
function foundBy({ code, stdout, stderr }: Ended): Found {
  assert(stdout !== "", stderr);
  const report = JSON.parse(stdout) as { ok: boolean; findings: Finding[] };
  assertEquals(report.ok, code === 0, stdout);
  for (const { check, state, remedy } of report.findings) {
    if (state === "failed" || state === "warning") assertMatch(remedy ?? "", /^[^\n]+$/, `${check} has no command`);
  }
  return { code, text: stdout + stderr, found: new Map(report.findings.map((finding) => [finding.check, finding])) };
}

/** The checks that failed. */
function failed(found: ReadonlyMap<string, Finding>): string[] {
  return [...found.values()].filter(({ state }) => state === "failed").map(({ check }) => check);
}

/** Runs with an empty home: no model, no cache; the hub is out of reach. */
async function inEmptyHome(run: (env: Record<string, string>, directory: string) => Promise<void>): Promise<void> {
  await inDirectory(async (directory) => {
    const models = join(directory, "models");
    mkdirSync(models);
    await run({
      HOME: directory,
      XDG_CACHE_HOME: join(directory, "cache"),
      LLAMASAUR_MODELS: models,
      LLAMASAUR_LIBRARY: "",
      HF_ENDPOINT: "http://127.0.0.1:1",
    }, directory);
  });
}

test("llamasaur doctor finds all well, and tells of everything", { skip }, async () => {
  await using hub = await HubServer.start({});
  await inEmptyHome(async (env) => {
    const given = { env: { ...env, HF_ENDPOINT: hub.endpoint } };
    const { code, found } = await findings(["--model", MODEL], given);
    assertEquals([code, failed(found)], [0, []]);
    assertEquals([...found.keys()], [
      ...[
        "runtime",
        "permissions",
        "system",
        "library",
        "devices",
        "models' cache",
        "models' folder",
        "libraries' cache",
      ],
      ...["hub", "model", "self-test"],
    ]);
    const detail = (check: string) => found.get(check)!.details!;
    assertEquals([detail("library").path, detail("library").llamaVersion], [BUILT, LLAMA_VERSION]);
    assertEquals([detail("hub").reachable, detail("model").architecture, detail("model").exact], [true, "bert", true]);
    assertMatch(
      found.get("self-test")!.message,
      /^3 stored vectors, max abs \S+ in f32 \(at most 0\.00001\), \S+ in q8_0/,
    );
    const { code: again, stdout, stderr } = await runHere(["doctor", "--model", MODEL], given);
    assertEquals([again, stderr], [0, "all is well\n"]);
    for (
      const words of [
        "looked at before: ",
        "compiled for: ",
        "kernels: ",
        ...detail("library").fastestWeights
          ? [`weights that it computes fastest: ${detail("library").fastestWeights}`]
          : [],
        "backends CPU",
        " free",
        "exact: yes",
        "max abs",
      ]
    ) {
      assertStringIncludes(stdout, words);
    }
  });
});

test("llamasaur doctor without a model and a hub fails nothing, and says what gets one", { skip }, async () => {
  await inEmptyHome(async (env) => {
    const { code, found } = await findingsHere([], { env });
    assertEquals([code, found.get("hub")!.state, found.get("model")!.state], [0, "note", "note"]);
    assertEquals(found.get("model")!.remedy, `${PROGRAM} pull all-minilm-l6-v2`);
    assertMatch(found.get("hub")!.message, /^offline: http:\/\/127\.0\.0\.1:1 cannot be reached \(.+\)/);
    const { found: offline } = await findingsHere([], { env: { ...env, HF_HUB_OFFLINE: "1" } });
    assertEquals(offline.get("hub")!.remedy, windows ? "Remove-Item env:HF_HUB_OFFLINE" : "unset HF_HUB_OFFLINE");
    const secret = await findingsHere([], { env: { ...env, HF_ENDPOINT: "http://user:pass-word@127.0.0.1:1" } });
    assertEquals(secret.found.get("hub")!.state, "warning");
    assert(!secret.text.includes("pass-word"), secret.text);
  });
});

test("llamasaur doctor of no library has every place and the command that builds or gets one", async () => {
  await inEmptyHome(async (env, directory) => {
    const path = join(directory, "none.so");
    const { code, found } = await findings([], { env: { ...env, LLAMASAUR_LIBRARY: path } });
    const { remedy, more, details } = found.get("library")!;
    assertEquals([code, failed(found)], [1, ["library"]]);
    assertStringIncludes(more!.join("\n"), `looked at: ${path}: `);
    assertEquals((details!.tried as string[]).length, 1);
    assertEquals(remedy, PROGRAM.replace("cli", "build").replace("main", "mod"));
    assertEquals(["devices", "model", "self-test"].map((check) => found.get(check)!.state), Array(3).fill("skipped"));
  });
});

test("llamasaur doctor of a library of another version names both", { skip }, async () => {
  await inEmptyHome(async (env, directory) => {
    const bytes = readFileSync(LIBRARY);
    const other = LLAMA_VERSION.replace(/^\d/, "9");
    let changed = 0;
    for (let at = 0; (at = bytes.indexOf(`${LLAMA_VERSION}\0`, at)) >= 0; at++, changed++) {
      Buffer.from(other).copy(bytes, at);
    }
    assert(changed > 0);
    const path = join(directory, "other.so");
    writeFileSync(path, bytes);
    const { code, found } = await findings(["--library", path], { env });
    assertEquals([code, failed(found)], [1, ["library"]]);
    for (const version of [LLAMA_VERSION, other]) assertStringIncludes(found.get("library")!.message, version);
    assertMatch(found.get("library")!.remedy!, /build[/\\]mod\.ts$/);
  });
});

test("llamasaur doctor without --allow-ffi says so, opens nothing and asks nothing", {
  skip: RUNTIME === "deno" ? false : "Bun has no permissions",
}, async () => {
  await inEmptyHome(async (env) => {
    const none = await findings([], { env, allow: ["--no-prompt"] });
    assertEquals([none.code, failed(none.found)], [1, ["permissions"]]);
    const allow = ["--no-prompt", "--allow-read", "--allow-env", "--allow-sys"];
    const { code, found } = await findings([], { env, allow });
    assertEquals([code, failed(found)[0], found.get("library")!.state], [1, "permissions", "skipped"]);
    assertEquals(found.get("permissions")!.remedy, `${PROGRAM} doctor`);
    assertStringIncludes(found.get("permissions")!.message, "--allow-ffi");
  });
});

test("llamasaur doctor of a model that is cut short has the command that gets it again", { skip }, async () => {
  const whole = readFileSync(MODEL);
  await using hub = await HubServer.start({ "owner/repo/model.gguf": whole });
  await inEmptyHome(async (env) => {
    const name = "hf:owner/repo/model.gguf";
    const path = (await runHere(["pull", name], { env: { ...env, HF_ENDPOINT: hub.endpoint } })).stdout.trim();
    writeFileSync(path, whole.subarray(0, 2_000_000));
    const { code, found } = await findingsHere(["--model", name], { env });
    assertEquals([code, failed(found)], [1, ["model"]]);
    assertStringIncludes(found.get("model")!.message, "cut off");
    const remedy = `${PROGRAM} models rm ${name} --yes && ${PROGRAM} pull ${name}`;
    assertEquals(found.get("model")!.remedy, remedy);
    const embedded = await runHere(["embed", "--text", "a", "--model", name], { env });
    assertEquals(embedded.code, 1);
    assertStringIncludes(embedded.stderr, `cut off or damaged. To get it again:\n\n  ${remedy}\n`);
    assertEquals(found.get("self-test")!.state, "ok");
    writeFileSync(path, whole); // a good model is not what keeps it from being loaded
    const { found: kept } = await findingsHere(["--model", name, "--memory-limit", "1MB"], { env });
    assertEquals([failed(kept), kept.get("model")!.remedy], [["model"], `${PROGRAM} doctor --json --model ${name}`]);
    const { found: none } = await findingsHere(["--model", "bge-m3"], { env });
    assertEquals([failed(none), none.get("model")!.remedy], [["model"], `${PROGRAM} pull bge-m3`]);
  });
});

test("llamasaur doctor of a cache that cannot be written names another", { skip }, async () => {
  await inEmptyHome(async (env, directory) => {
    const file = join(directory, "file");
    writeFileSync(file, "");
    const { code, found } = await findingsHere([], {
      env: { ...env, LOCALAPPDATA: directory, HF_HUB_CACHE: join(file, "hub") },
    });
    assertEquals([code, failed(found)], [1, ["models' cache"]]);
    const { message, remedy, details } = found.get("models' cache")!;
    assertStringIncludes(message, `cannot be written: ${file} is no folder`);
    const other = join(directory, "llamasaur-cache");
    const command = windows ? `$env:HF_HUB_CACHE = '${other}'` : `export HF_HUB_CACHE=${other}`;
    assertEquals([remedy, details!.writable], [command, false]);
  });
});
