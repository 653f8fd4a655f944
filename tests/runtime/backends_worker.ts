// One library in a process of its own: two that hold the same libggml-base would share it. Needs the FFI permission for
// the library alone. Arguments: library, model, threads, and "stock" for llama.cpp's kernels alone.
import process from "node:process";
import { listDevices, Llama } from "../../mod.ts";

const [library = "", model = "", threads = "1", kernels] = process.argv.slice(2);
const devices = (await listDevices({ library })).map(({ name, kind }) => ({ name, kind }));
await using llama = await Llama.load(model, { library, threads: Number(threads), kernels: kernels !== "stock" });
// few and short: Mesa compiles a shader for each size of matrix, and each takes seconds
const vectors = await llama.embed(["a library that was there", "mesa"]);
console.log(JSON.stringify({ devices, device: llama.info.device, vectors: vectors.map((vector) => [...vector]) }));
