import { test } from "node:test";
import { join } from "node:path";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { convert } from "../../convert.ts";
import process from "node:process";
import { open } from "../../ffi/mod.ts";
import { LLAMA_VERSION } from "../../ffi/version.ts";
import { describeLibrary, LibraryNotFoundError, listDevices, Llama } from "../../mod.ts";
import { fixture, inDirectory } from "../support/checkpoint.ts";
import { libraryMissing as skip } from "../support/references.ts";

/** Runs with the path of the tiny checkpoint, converted. */
async function withTiny(run: (path: string) => Promise<void>): Promise<void> {
  await inDirectory(async (directory) => {
    const path = join(directory, "tiny.gguf");
    await convert(fixture("tiny_bert"), path);
    await run(path);
  });
}

test("listDevices() names the CPU, with its memory", { skip }, async () => {
  const cpu = (await listDevices()).find(({ kind }) => kind === "cpu");
  assertEquals(cpu?.name, "CPU");
  assert(cpu!.description.length > 0, "it has a description");
  assert(cpu!.memoryTotal > 0 && cpu!.memoryFree <= cpu!.memoryTotal, `${cpu!.memoryFree} of ${cpu!.memoryTotal}`);
});

test("listDevices() gives each device another name", { skip }, async () => {
  const names = (await listDevices()).map(({ name }) => name);
  assertEquals(new Set(names).size, names.length);
});

test("load() refuses a device that is not there and names those that are", { skip }, async () => {
  await withTiny(async (path) => {
    for (const device of ["Vulkan7", "", "cpu ", "0"]) {
      const error = await assertRejects(() => Llama.load(path, { device }), RangeError);
      assertMatch(error.message, /^Cannot load on the device ".*": this library offers .*"CPU"/);
      assert(error.message.includes(`"${device}"`), error.message);
      if (!(await listDevices()).some(({ kind }) => kind === "gpu")) {
        assertMatch(error.message, /for a GPU build one: .* --(metal|cuda)/);
      }
    }
  });
});

test('load() with device "CPU", in any case, computes there', { skip }, async () => {
  await withTiny(async (path) => {
    for (const device of ["CPU", "cpu"]) {
      await using llama = await Llama.load(path, { device });
      assertEquals(llama.info.device, "CPU");
      assertEquals((await llama.embed("a device")).length, llama.info.dimensions);
    }
  });
});

test("load() with gpuLayers 0 computes on the CPU, as with every layer where there is no GPU", { skip }, async () => {
  const noGpu = (await listDevices()).every(({ kind }) => kind === "cpu" || kind === "accelerator");
  await withTiny(async (path) => {
    await using none = await Llama.load(path, { gpuLayers: 0 });
    assertEquals(none.info.device, "CPU");
    if (!noGpu) return;
    await using all = await Llama.load(path, { gpuLayers: -1 });
    assertEquals(all.info.device, "CPU");
    assertEquals([...await all.embed("a device")], [...await none.embed("a device")]);
  });
});

test(
  "describeLibrary() says where the library is, where it was looked for, and for what it was compiled",
  { skip },
  async () => {
    const { path, tried, llamaVersion, compiledFor, processor, devices, kernels } = await describeLibrary();
    assertEquals([path, llamaVersion], [(await open()).path, LLAMA_VERSION]);
    assertEquals(devices.map(({ name }) => name), (await listDevices()).map(({ name }) => name));
    assertEquals(compiledFor.filter((feature) => !processor.includes(feature)), []); // else it would not have been opened
    if (process.arch === "x64" && kernels.length > 0) assert(processor.includes("AVX2"), processor.join());
    assert(tried.every((line) => line.includes(": ")), tried.join("\n"));
    const named = await describeLibrary({ library: path });
    assertEquals([named.path, named.tried], [path, []]);
    await assertRejects(() => describeLibrary({ library: "/none.so" }), LibraryNotFoundError, "/none.so");
  },
);
