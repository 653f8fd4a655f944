import { execFile, execFileSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { copyFile, mkdtemp, realpath, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename } from "node:path";
import process from "node:process";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { build } from "../../build/mod.ts";
import { plan } from "../../build/plan.ts";
import { convert } from "../../convert.ts";
import { candidates } from "../../ffi/open.ts";
import { fixture } from "../support/checkpoint.ts";
import { platformPackage } from "../support/npm_package.ts";
import { farthest, libraryMissing } from "../support/references.ts";

const WORKER = fileURLToPath(new URL("backends_worker.ts", import.meta.url));
const ICDS = "/usr/share/vulkan/icd.d"; // where Mesa tells Vulkan's loader of its drivers
const lavapipe = existsSync(ICDS) ? readdirSync(ICDS).find((name) => name.startsWith("lvp_icd")) : undefined;

const cpu = libraryMissing ? { reason: "our own library was not built" } : await platformPackage("linux-x64");
const vulkan = "reason" in cpu
  ? cpu
  : lavapipe === undefined
  ? { reason: "Mesa's software device is not installed (scripts/vulkan.sh)" }
  : await platformPackage("linux-x64-vulkan");
const noCpu = "reason" in cpu;
const noVulkan = "reason" in vulkan;
if (noCpu) console.warn(`backends_test: a prebuilt llama.cpp is NOT tried: ${cpu.reason}`);
if (noVulkan) console.warn(`backends_test: the GPU path is NOT tried: ${vulkan.reason}`);

let directory = "";
let model = "";
before(async () => {
  directory = await realpath(await mkdtemp(join(tmpdir(), "llamasaur-backends-")));
  model = join(directory, "tiny.gguf");
  await convert(fixture("tiny_bert"), model);
});
after(() => rm(directory, { recursive: true, force: true }));

interface Answer {
  readonly devices: readonly { readonly name: string; readonly kind: string }[];
  readonly device: string;
  readonly vectors: readonly (readonly number[])[];
}

/** What a library answers in a process of its own; on Deno with the one permission that is documented. */
async function ask(library: string, env: Record<string, string> = {}, ...more: string[]): Promise<Answer> {
  const runtime = "Deno" in globalThis ? ["run", "--quiet", "--no-prompt", `--allow-ffi=${library}`] : [];
  const args = [...runtime, WORKER, library, model, ...more];
  const { stdout } = await promisify(execFile)(process.execPath, args, {
    cwd: directory,
    env: { ...process.env, ...env },
  });
  return JSON.parse(stdout);
}

/** Builds the shim for a package and returns the library's path. */
async function shimFor(llama: string, name: string): Promise<string> {
  const { path } = await build({ llama, out: join(directory, name), onLine: () => {} });
  return path;
}

function own(): Promise<Answer> {
  return ask(candidates().find(({ path, skipped }) => !skipped && existsSync(path))!.path);
}

function difference(a: Answer, b: Answer): number {
  assertEquals(a.vectors.length, b.vectors.length);
  return Math.max(...a.vectors.map((vector, i) => farthest(vector, b.vectors[i]!)));
}

test("build --llama uses npm's libllama: the CPU's vectors are our own build's", { skip: noCpu }, async () => {
  if (noCpu) return;
  const library = await shimFor(cpu.directory, "cpu");
  const [theirs, ours] = [await ask(library), await own()];
  assertEquals(theirs.devices, [{ name: "CPU", kind: "cpu" }]);
  assertEquals(theirs.device, "CPU");
  const off = difference(theirs, ours);
  console.log(`largest difference ${off}`);
  assert(off <= 1e-3, `largest difference ${off}`);
  // With two threads llama.cpp's own kernels compute.
  const [threaded, stock] = [await ask(library, {}, "2"), await ask(library, {}, "1", "stock")];
  assert(difference(threaded, stock) <= 1e-5, "two threads give what one gives");
});

test("a build --llama library takes what lies beside it, and backends from there alone", { skip: noCpu }, async () => {
  if (noCpu) return;
  const library = await shimFor(cpu.directory, "cpu");
  const place = await mkdtemp(join(directory, "beside-"));
  const source = join(cpu.directory, "bins", "linux-x64");
  const link = (name: string) => symlink(join(source, name), join(place, name));
  const beside = join(place, basename(library));
  await copyFile(library, beside);
  for (const name of ["libllama.v0.5.0.so", "libggml.v0.5.0.so", "libggml-base.so"]) await link(name);
  const bare = await assertRejects(() => ask(beside), Error);
  assertStringIncludes(bare.message, "no backend for this CPU is in the directory of its libggml");
  await link("libggml-cpu-x64.so");
  assertEquals((await ask(beside)).devices, [{ name: "CPU", kind: "cpu" }]);
});

test("build --llama refuses a libllama of another version", { skip: noCpu }, async () => {
  const other = await mkdtemp(join(directory, "other-"));
  const c = 'const char * llama_version(void) { return "0.4.9-dev"; }';
  for (const name of ["libllama.so", "libggml.so", "libggml-base.so", "libggml-cpu.so"]) {
    const args = ["-shared", "-fPIC", "-x", "c", "-", "-o", join(other, name)];
    execFileSync("cc", args, { input: name === "libllama.so" ? c : "" });
  }
  const { directory: built } = await plan({ llama: other });
  const error = await assertRejects(() => shimFor(other, "refused"), Error).finally(() =>
    rm(built, { recursive: true })
  );
  assertStringIncludes(error.message.replaceAll(/\s+/g, " "), 'is llama.cpp "0.4.9-dev", and 0.5.0 is needed');
});

test("build --llama uses npm's Vulkan: the GPU's vectors are near the CPU's", { skip: noVulkan }, async () => {
  if (noVulkan) return;
  const library = await shimFor(vulkan.directory, "vulkan");
  // without the first, ggml leaves software devices aside
  const env = { GGML_VK_VISIBLE_DEVICES: "0", VK_ICD_FILENAMES: join(ICDS, lavapipe!) };
  const start = performance.now();
  const gpu = await ask(library, env);
  console.log(`${Math.round(performance.now() - start)} ms`);
  assertEquals(gpu.devices, [{ name: "Vulkan0", kind: "gpu" }, { name: "CPU", kind: "cpu" }]);
  assertEquals(gpu.device, "Vulkan0");
  const off = difference(gpu, await own());
  console.log(`largest difference ${off}`);
  assert(off > 0, "another device rounds in another way");
  assert(off <= 1e-2, `largest difference ${off}`);
});
