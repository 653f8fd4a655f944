// One call with the permissions that its process was given: permissions_worker.ts CALL ARGUMENT...; prints what came of it.
import process from "node:process";

const [call = "", ...args] = process.argv.slice(2) as [string, ...string[]];
const [first = "", second = "", third = ""] = args;

const CALLS: Record<string, () => Promise<unknown>> = {
  async embed() {
    const { Llama } = await import("../../mod.ts");
    await using llama = await Llama.load(first, { library: second });
    return (await llama.embed("a text")).length;
  },
  listDevices: async () => (await (await import("../../mod.ts")).listDevices({ library: first })).length,
  resolveModel: async () => (await import("../../models.ts")).resolveModel(first),
  download: async () =>
    await (await import("../../models.ts")).download(first, { endpoint: second, cache: third, token: "" }),
  convert: async () => await (await import("../../convert.ts")).convert(first, second),
  quantize: async () =>
    await (await import("../../convert.ts")).quantize(first, second, "q8_0", { library: third, threads: 1 }),
  build: async () =>
    (await (await import("../../build/mod.ts")).build({ dryRun: true, out: first, onLine: () => {} })).path,
};

await CALLS[call]!().then(
  () => console.log("ok"),
  (error) => console.log(`${error.name}: ${error.message}`),
);
