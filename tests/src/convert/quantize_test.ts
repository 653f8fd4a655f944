import { execFileSync } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { existsSync, linkSync, lstatSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { convert, quantize, type WeightType } from "../../../convert.ts";
import { LlamaError } from "../../../ffi/errors.ts";
import { candidates } from "../../../ffi/open.ts";
import { WEIGHT_TYPES } from "../../../src/convert/quantize.ts";
import { fixture, inDirectory } from "../../support/checkpoint.ts";
import { readGguf } from "../../support/gguf_reader.ts";

const skip = !candidates().some(({ path, skipped }) => !skipped && existsSync(path));
const MINILM = fixture("../../models/all-minilm-l6-v2-f32.gguf");

/** Runs with the path of a tiny f32 file in a directory of its own. */
async function withTiny(run: (f32: string, directory: string) => Promise<void>): Promise<void> {
  await inDirectory(async (directory) => {
    const f32 = join(directory, "tiny-f32.gguf");
    await convert(fixture("tiny_bert"), f32);
    await run(f32, directory);
  });
}

test("quantize() makes every type it names, each smaller than f32, with the metadata kept", { skip }, async () => {
  await withTiny(async (f32, directory) => {
    const before = readGguf(f32);
    for (const type of WEIGHT_TYPES) {
      const out = join(directory, `out-${type}.gguf`);
      await quantize(f32, out, type);
      const size = readFileSync(out).length;
      assert(type === "f32" || size < readFileSync(f32).length, `${type} has ${size} bytes`);
      if (!["f32", "f16", "bf16", "q8_0"].includes(type)) continue; // of the others the reader does not know the blocks
      const after = readGguf(out);
      assertEquals([...after.tensors.keys()].sort(), [...before.tensors.keys()].sort());
      const fields = (file: typeof after) => [...file.metadata].filter(([key]) => key !== "general.file_type").sort();
      assertEquals(fields(after), fields(before));
    }
    assertEquals(readdirSync(directory).length, WEIGHT_TYPES.length + 1); // and the input
  });
});

test("quantize() writes the type's number and blocks of that type", { skip }, async () => {
  await withTiny(async (f32, directory) => {
    const out = join(directory, "out.gguf");
    const numbers: [WeightType, number, number][] = [["f16", 1, 1], ["bf16", 32, 30], ["q8_0", 7, 8]];
    for (const [type, file, block] of numbers) {
      await quantize(pathToFileURL(f32), pathToFileURL(out), type);
      const { metadata, tensors } = readGguf(out);
      assertEquals(metadata.get("general.file_type")?.value, file);
      assertEquals(tensors.get("blk.0.ffn_up.weight")?.type, block);
      assertEquals(tensors.get("blk.0.ffn_up.bias")?.type, 0);
    }
  });
});

test("quantize() to f32 gives the numbers that a quantised file stands for, and refuses to round them a second time", {
  skip,
}, async () => {
  await withTiny(async (f32, directory) => {
    const [small, back] = ["q8_0", "back"].map((name) => join(directory, `${name}.gguf`)) as [string, string];
    await quantize(f32, small, "q8_0");
    await quantize(small, back, "f32");
    const [blocks, floats] = [small, back].map((path) => readGguf(path).tensors.get("blk.0.ffn_up.weight")!.data);
    // block_q8_0 of ggml-common.h: the scale in half precision, then 32 numbers of 8 bits
    const view = new DataView(blocks!.buffer, blocks!.byteOffset, blocks!.length);
    const wanted = Array.from({ length: blocks!.length / 34 * 32 }, (_, i) => {
      const block = 34 * Math.floor(i / 32);
      return half(view.getUint16(block, true)) * view.getInt8(block + 2 + i % 32);
    });
    assertEquals([...new Float32Array(floats!.slice().buffer)], wanted);
    const error = await assertRejects(() => quantize(small, back, "q4_0"), LlamaError, "its weights are q8_0 already");
    assertEquals([error.code, error.message.endsWith("with f32, f16 or bf16 weights")], ["model-unsupported", true]);
  });
});

/** The number that 16 bits of IEEE 754 stand for. */
function half(bits: number): number {
  const [exponent, fraction] = [bits >> 10 & 31, bits & 1023];
  const size = exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25);
  return bits >> 15 ? -size : size;
}

test("quantize() tells the share done", { skip }, async () => {
  await withTiny(async (f32, directory) => {
    const shares: number[] = [];
    await quantize(f32, join(directory, "out.gguf"), "q8_0", { threads: 1, onProgress: (done) => shares.push(done) });
    assertEquals(shares.at(-1), 1);
    assertEquals(shares, shares.toSorted((a, b) => a - b));
  });
});

test("quantize() leaves the old file and nothing else when it fails or is stopped", { skip }, async () => {
  await withTiny(async (f32, directory) => {
    const out = join(directory, "out.gguf");
    writeFileSync(out, "old");
    const after = () => [readdirSync(directory).sort(), readFileSync(out, "utf8")];

    await assertRejects(
      () => quantize(f32, out, "q8_0", { signal: AbortSignal.abort(new Error("enough")) }),
      Error,
      "enough",
    );
    assertEquals(after(), [["out.gguf", "tiny-f32.gguf"], "old"]);

    writeFileSync(f32, readFileSync(f32).subarray(0, 100_000));
    const error = await assertRejects(() => quantize(f32, out, "q8_0"), LlamaError, f32);
    assertEquals(error.code, "model-invalid");
    await assertRejects(() => quantize(join(directory, "missing.gguf"), out, "q8_0"), LlamaError, "missing.gguf");
    assertEquals(after(), [["out.gguf", "tiny-f32.gguf"], "old"]);

    await assertRejects(() => quantize(f32, join(dirname(out), "missing", "out.gguf"), "q8_0"), LlamaError);
  });
});

test("quantize() stops in the middle when the signal is aborted", { skip: skip || !existsSync(MINILM) }, async () => {
  await inDirectory(async (directory) => {
    const controller = new AbortController();
    const onProgress = (done: number) => done > 0 && done < 1 && controller.abort(new Error("enough"));
    const work = quantize(MINILM, join(directory, "out.gguf"), "q4_k_m", {
      threads: 1,
      signal: controller.signal,
      onProgress,
    });
    await assertRejects(() => work, Error, "enough");
    assertEquals(readdirSync(directory), []);
  });
});

test("quantize() refuses to write over its input, by whatever path, and over a part of a split one", async () => {
  await inDirectory(async (directory) => {
    const f32 = join(directory, "f32.gguf");
    writeFileSync(f32, "weights");
    const [link, hard, folder] = ["link.gguf", "hard.gguf", "folder"].map((name) => join(directory, name));
    if (process.platform !== "win32") {
      symlinkSync(f32, link!);
      symlinkSync(directory, folder!);
    }
    linkSync(f32, hard!);
    const others = process.platform === "win32" ? [hard!] : [link!, hard!, join(folder!, "f32.gguf")];
    const outs = [f32, pathToFileURL(f32), `${directory}/./f32.gguf`, ...others];
    for (const out of outs) {
      await assertRejects(() => quantize(f32, out, "q8_0"), RangeError, "which would be lost; give another path");
    }
    for (const input of others) await assertRejects(() => quantize(input, f32, "q8_0"), RangeError, "the same file as");
    assertEquals(readFileSync(f32, "utf8"), "weights");

    const parts = [1, 2].map((part) => join(directory, `big-0000${part}-of-00002.gguf`));
    for (const part of parts) writeFileSync(part, "weights");
    await assertRejects(() => quantize(parts[0]!, parts[1]!, "q8_0"), RangeError, "it is the input itself");
  });
});

test("quantize() rejects with RangeError when the type or the number of threads is not one", async () => {
  await inDirectory(async (directory) => {
    const [f32, out] = [join(directory, "a.gguf"), join(directory, "b.gguf")];
    await assertRejects(
      () => quantize(f32, out, "q9" as WeightType),
      RangeError,
      'type: it must be one of "f32", "f16"',
    );
    for (const threads of [0, -1, 1.5, NaN]) {
      await assertRejects(
        () => quantize(f32, out, "q8_0", { threads }),
        RangeError,
        `threads: it must be an integer from 1 to 512, is ${threads}`,
      );
    }
  });
});

test("quantize() and convert() write the file behind a link, and put no file in the place of a device or pipe", {
  skip: skip || process.platform === "win32",
}, async () => {
  await withTiny(async (f32, directory) => {
    const [link, target, pipe] = ["link", "target", "pipe"].map((name) => join(directory, `${name}.gguf`));
    writeFileSync(target!, "old");
    symlinkSync(target!, link!);
    await quantize(f32, link!, "q8_0");
    assert(lstatSync(link!).isSymbolicLink());
    assertEquals(readFileSync(target!).subarray(0, 4).toString(), "GGUF");
    execFileSync("mkfifo", [pipe!]);
    for (const write of [() => quantize(f32, pipe!, "q8_0"), () => convert(fixture("tiny_bert"), pipe!)]) {
      await assertRejects(write, LlamaError, "it is a device, a pipe or a socket");
    }
    assert(lstatSync(pipe!).isFIFO());
  });
});
