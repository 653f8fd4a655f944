// The shims of dist/ (deno task prebuilt), as a loader sees them, and what `build --llama` makes of one without a compiler.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { convert } from "../../convert.ts";
import { SHIM_PACKAGES } from "../../build/shipped.ts";
import { libraryFileName } from "../../ffi/host/paths.ts";
import { SYMBOLS } from "../../ffi/symbols.ts";
import { inspect } from "../../packages/inspect.ts";
import { SCOPE } from "../../packages/manifest.ts";
import { type Shim, SHIMS } from "../../packages/platforms.ts";
import { fixture, inDirectory } from "../support/checkpoint.ts";
import { ROOT, runChild } from "../support/child.ts";
import { folderOf, lackingOf, libraryOf, meant, skipWithout } from "../support/dist.ts";
import { platformPackage } from "../support/npm_package.ts";
import { type Packed, serveNpm } from "../support/npm_registry.ts";
import { bun, deno, emptyHome, noEmbedding, npm } from "../support/packaging.ts";
import { slow } from "../support/slow.ts";
import { linked } from "./links.ts";

const ICDS = "/usr/share/vulkan/icd.d"; // where Mesa tells Vulkan's loader of its drivers
const lavapipe = existsSync(ICDS) ? readdirSync(ICDS).find((name) => name.startsWith("lvp_icd")) : undefined;

/** Of other libraries, what a shim may need: the C and C++ that its libllama needs, too. */
const SYSTEM = /^(lib(c|m|gcc_s|stdc\+\+)\.so\.\d|ld-linux-(x86-64|aarch64)\.so\.\d)$/;

/** Why a shim cannot be tried, if so. */
function lacking(shim: Shim): string | false {
  return process.platform === "linux" ? skipWithout(shim) : "it is read by tools of Linux";
}

test("build --llama and the packages' list know the same shims", () => {
  const names = Object.fromEntries(SHIMS.map((one) => [`${one.platform}-${one.arch}`, `${SCOPE}/${one.name}`]));
  assertEquals(SHIM_PACKAGES, names);
});

for (const shim of meant(SHIMS)) {
  test(
    `${shim.name} needs the links beside it, and every name that it takes from there is in node-llama-cpp's`,
    { skip: lacking(shim), timeout: 600_000 },
    async () => {
      assertEquals(lackingOf(shim), undefined);
      const library = libraryOf(shim);
      const facts = await inspect(shim, library);
      assertEquals(facts.exports, Object.keys(SYMBOLS).sort());
      const [beside, system] = [facts.needed.slice(0, 3), facts.needed.slice(3)];
      assertEquals(beside, ["libllama.so", "libggml.so", "libggml-base.so"]);
      assertEquals(system.filter((name) => !SYSTEM.test(name)), []);
      assertEquals(facts.runpath, "$ORIGIN");
      assertEquals(facts.glibc, "2.34");
      const packages = shim.arch === "x64" ? ["linux-x64", "linux-x64-vulkan"] as const : ["linux-arm64"] as const;
      for (const name of packages) {
        const { taken, lacking } = await linked(shim, library, name);
        assertEquals(lacking, [], name);
        assert(taken > 50, `${taken} names`);
      }
    },
  );
}

const here = meant(SHIMS).find(({ platform, arch }) => platform === process.platform && arch === process.arch);
const cannot = here === undefined
  ? "no shim is for this system"
  : lacking(here) || !npm
  ? "it needs a shim, and npm"
  : false;

/** What `build --llama` says with no program on PATH but the two runtimes, and a registry that has the shim. */
async function buildWithout(directory: string, llama: string): Promise<{ library: string; told: string }> {
  const packed = await runChild(npm!, ["pack", "--silent", "--pack-destination", directory], {
    cwd: folderOf(here!),
    env: emptyHome(directory),
  });
  assertEquals(packed.code, 0, packed.stderr);
  const manifest = JSON.parse(readFileSync(join(folderOf(here!), "package.json"), "utf8")) as Packed["manifest"];
  await using registry = await serveNpm([{ manifest, tarball: join(directory, packed.stdout.trim()) }]);
  const path = [bun, deno].filter((program) => program !== undefined).map((program) => dirname(program)).join(":");
  const flags = "Deno" in globalThis ? ["run", "-A"] : [];
  const command = [...flags, join(ROOT, "build", "mod.ts"), "--llama", llama, "--out", join(directory, "out")];
  const env = { ...emptyHome(directory), PATH: path, NPM_CONFIG_REGISTRY: registry.url, npm_config_offline: "" };
  const built = await runChild(process.execPath, command, { env, timeout: 120_000 });
  assertEquals(built.code, 0, built.stderr);
  return { library: built.stdout.trim(), told: built.stderr };
}

interface Answer {
  readonly devices: readonly { readonly name: string; readonly kind: string }[];
  readonly device: string;
  readonly vectors: readonly (readonly number[])[];
}

async function ask(library: string, model: string, env: Record<string, string>): Promise<Answer> {
  const flags = "Deno" in globalThis ? ["run", "--quiet", "--no-prompt", `--allow-ffi=${library}`] : [];
  const worker = join(ROOT, "tests", "runtime", "backends_worker.ts");
  const { code, stdout, stderr } = await runChild(process.execPath, [...flags, worker, library, model], {
    env,
    timeout: 300_000,
  });
  assertEquals(code, 0, stderr);
  return JSON.parse(stdout);
}

/** A tiny model: Mesa compiles a shader for each size of matrix, and each takes seconds. */
async function tinyModel(directory: string): Promise<string> {
  const model = join(directory, "tiny.gguf");
  await convert(fixture("tiny_bert"), model);
  return model;
}

const embedding = noEmbedding ?? cannot;

test("build --llama without a compiler takes npm's shim, which computes by the CPU's libllama", {
  skip: embedding,
  timeout: 600_000,
}, async () => {
  const llama = await platformPackage("linux-x64");
  if ("reason" in llama) return console.warn(`NOT tried: ${llama.reason}`);
  await inDirectory(async (directory) => {
    const { library, told } = await buildWithout(directory, llama.directory);
    assertStringIncludes(told, "cmake is not installed");
    assertMatch(told, /taken from npm's package instead: .*libllamasaur\.so$/m);
    const answer = await ask(library, await tinyModel(directory), {});
    assertEquals([answer.devices, answer.device], [[{ name: "CPU", kind: "cpu" }], "CPU"]);
  });
});

test("build --llama without a compiler takes npm's shim, which computes by Vulkan's libllama", {
  skip: embedding || (slow ? false : "Mesa takes a minute: LLAMASAUR_SLOW=1") ||
    (lavapipe ? false : "Mesa's software device is not installed (scripts/vulkan.sh)"),
  timeout: 600_000,
}, async () => {
  const llama = await platformPackage("linux-x64-vulkan");
  if ("reason" in llama) return console.warn(`NOT tried: ${llama.reason}`);
  await inDirectory(async (directory) => {
    const { library } = await buildWithout(directory, llama.directory);
    const model = await tinyModel(directory);
    const gpu = await ask(library, model, { GGML_VK_VISIBLE_DEVICES: "0", VK_ICD_FILENAMES: join(ICDS, lavapipe!) });
    assertEquals(gpu.devices, [{ name: "Vulkan0", kind: "gpu" }, { name: "CPU", kind: "cpu" }]);
    assertEquals(gpu.device, "Vulkan0");
    const own = await ask(join(ROOT, "lib", `${process.platform}-${process.arch}`, libraryFileName()), model, {});
    const off = Math.max(...gpu.vectors.flatMap((row, i) => row.map((x, j) => Math.abs(x - own.vectors[i]![j]!))));
    console.log(`largest difference to the processor's vectors: ${off.toExponential(1)}`);
    assert(off > 0 && off <= 1e-2, `${off}`);
  });
});
