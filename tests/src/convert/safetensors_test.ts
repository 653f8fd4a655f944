import { test } from "node:test";
import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { LlamaError } from "../../../ffi/errors.ts";
import { floats, readCheckpoint, readTensors } from "../../../src/convert/safetensors.ts";
import { inDirectory, writeSafetensors } from "../../support/checkpoint.ts";

const F32 = { dtype: "F32", shape: [2], data_offsets: [0, 8] };

async function values(file: string, name: string): Promise<number[]> {
  const tensor = (await readTensors(file)).get(name)!;
  const all: number[] = [];
  for await (const part of floats(tensor)) all.push(...part);
  return all;
}

test("readTensors() lists name, type, shape and place of every tensor", async () => {
  await inDirectory(async (directory) => {
    const file = join(directory, "model.safetensors");
    const header = { __metadata__: { format: "pt" }, a: F32, b: { dtype: "I64", shape: [], data_offsets: [8, 16] } };
    writeSafetensors(file, header, new Uint8Array(16));
    const start = 8 + JSON.stringify(header).length;
    assertEquals((await readTensors(file)).values().map(({ stamp: _, ...rest }) => rest).toArray(), [
      { name: "a", dtype: "F32", shape: [2], file, offset: start, bytes: 8 },
      { name: "b", dtype: "I64", shape: [], file, offset: start + 8, bytes: 8 },
    ]);
  });
});

test("floats() widens F16 and BF16 exactly, with zeros, subnormal, largest and infinite values", async () => {
  await inDirectory(async (directory) => {
    const file = join(directory, "model.safetensors");
    const halves = [0x0000, 0x8000, 0x0001, 0x03ff, 0x3c00, 0xc000, 0x7bff, 0x7c00];
    const brains = [0x0000, 0x8000, 0x0001, 0x007f, 0x3f80, 0xc000, 0x7f7f, 0xff80];
    writeSafetensors(file, {
      halves: { dtype: "F16", shape: [8], data_offsets: [0, 16] },
      brains: { dtype: "BF16", shape: [2, 4], data_offsets: [16, 32] },
    }, new Uint8Array(new Uint16Array([...halves, ...brains]).buffer));
    assertEquals(await values(file, "halves"), [0, -0, 2 ** -24, 1023 * 2 ** -24, 1, -2, 65504, Infinity]);
    assertEquals(await values(file, "brains"), [0, -0, 2 ** -133, 127 * 2 ** -133, 1, -2, 255 * 2 ** 120, -Infinity]);
  });
});

test("floats() reads a tensor larger than one piece whole and in order", async () => {
  await inDirectory(async (directory) => {
    const file = join(directory, "model.safetensors");
    const numbers = Float32Array.from({ length: 1_200_001 }, (_, i) => i);
    const { byteLength } = numbers;
    const header = JSON.stringify({ a: { dtype: "F32", shape: [numbers.length], data_offsets: [0, byteLength] } });
    writeFileSync(file, new BigUint64Array([BigInt(header.length)]));
    writeFileSync(file, header, { flag: "a" });
    writeFileSync(file, new Uint8Array(numbers.buffer), { flag: "a" });
    let next = 0, pieces = 0;
    for await (const part of floats((await readTensors(file)).get("a")!)) {
      pieces++;
      for (const value of part) if (value !== next++) throw new Error(`${value} where ${next - 1} should be`);
    }
    assertEquals([next, pieces], [1_200_001, 2]);
  });
});

test("floats() rejects with model-unsupported when the type is not a float of 16 or 32 bits", async () => {
  await inDirectory(async (directory) => {
    const file = join(directory, "model.safetensors");
    for (const dtype of ["F64", "I64", "F8_E4M3", "F99"]) {
      const bytes = dtype === "F8_E4M3" ? 1 : 8;
      writeSafetensors(file, { a: { dtype, shape: [1], data_offsets: [0, bytes] } }, new Uint8Array(bytes));
      const error = await assertRejects(() => values(file, "a"), LlamaError, `a has type ${dtype}`);
      assertEquals(error.code, "model-unsupported");
    }
  });
});

test("floats() rejects when the file became shorter since it was listed", async () => {
  await inDirectory(async (directory) => {
    const file = join(directory, "model.safetensors");
    writeSafetensors(file, { a: F32 }, new Uint8Array(8));
    const tensor = (await readTensors(file)).get("a")!;
    truncateSync(file, tensor.offset + 4);
    await assertRejects(() => floats(tensor).next(), LlamaError, "it was changed");
  });
});

const DAMAGED: [string, Record<string, unknown> | string, number, string][] = [
  ["that is not JSON", "hello", 0, "not JSON"],
  ["that is a list", "[]", 0, "not a JSON object"],
  ["without a description", { a: 1 }, 8, "a is not described by an object"],
  ["with a number as type", { a: { ...F32, dtype: 7 } }, 8, "dtype of a"],
  ["with a negative size", { a: { ...F32, shape: [-2] } }, 8, "shape of a"],
  ["with a size of no whole number", { a: { ...F32, shape: [0.5] } }, 8, "shape of a"],
  ["with an enormous size", { a: { ...F32, shape: [2 ** 53] } }, 8, "shape of a"],
  ["with a size that overflows", { a: { ...F32, shape: [2 ** 40, 2 ** 40] } }, 8, "takes"],
  ["without offsets", { a: { dtype: "F32", shape: [2] } }, 8, "data_offsets of a"],
  ["with three offsets", { a: { ...F32, data_offsets: [0, 4, 8] } }, 8, "data_offsets of a"],
  ["with offsets the wrong way round", { a: { ...F32, data_offsets: [8, 0] } }, 8, "cut off"],
  ["with offsets past the end", { a: { ...F32, data_offsets: [0, 8] } }, 7, "cut off"],
  ["with fewer bytes than the shape takes", { a: { ...F32, shape: [3] } }, 8, "takes 12 bytes, and has 8"],
  ["with tensors on top of each other", { a: F32, b: F32 }, 8, "begins at byte"],
  ["with a hole", { a: { ...F32, data_offsets: [8, 16] } }, 16, "begins at byte"],
  ["with bytes behind the last tensor", { a: F32 }, 9, "end at byte"],
];
for (const [what, header, bytes, reason] of DAMAGED) {
  test(`readTensors() rejects with model-invalid when the header is one ${what}`, async () => {
    await inDirectory(async (directory) => {
      const file = join(directory, "model.safetensors");
      writeSafetensors(file, header, new Uint8Array(bytes));
      const error = await assertRejects(() => readTensors(file), LlamaError, reason);
      assertStringIncludes(error.message, file);
      assertEquals(error.code, "model-invalid");
    });
  });
}

test("readTensors() rejects files that are empty, cut off, of another kind, or claim a header of terabytes", async () => {
  await inDirectory(async (directory) => {
    const file = join(directory, "model.safetensors");
    const rejects = async (bytes: Uint8Array, reason: string) => {
      writeFileSync(file, bytes);
      assertEquals((await assertRejects(() => readTensors(file), LlamaError, reason)).code, "model-invalid");
    };
    await rejects(new Uint8Array(), "it has 0 bytes");
    await rejects(new Uint8Array(7), "it has 7 bytes");
    await rejects(new Uint8Array([9, 0, 0, 0, 0, 0, 0, 0, 123]), "cut off");
    await rejects(new TextEncoder().encode("<!DOCTYPE html><html></html>"), "over the limit");
    await rejects(new TextEncoder().encode("version https://git-lfs.github.com/spec/v1\n"), "over the limit");
    await rejects(new Uint8Array(8).fill(255), "over the limit");
    await rejects(new Uint8Array([2, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe]), "not JSON");
  });
});

test("readCheckpoint() reads the files that the index of a sharded checkpoint names", async () => {
  await inDirectory(async (directory) => {
    writeSafetensors(join(directory, "model-00001-of-00002.safetensors"), { a: F32 }, new Uint8Array(8));
    writeSafetensors(join(directory, "model-00002-of-00002.safetensors"), { b: F32 }, new Uint8Array(8));
    const map = { a: "model-00001-of-00002.safetensors", b: "model-00002-of-00002.safetensors" };
    const index = join(directory, "model.safetensors.index.json");
    writeFileSync(index, JSON.stringify({ weight_map: map }));
    assertEquals([...(await readCheckpoint(directory)).keys()], ["a", "b"]);

    writeSafetensors(join(directory, "model-00002-of-00002.safetensors"), { a: F32 }, new Uint8Array(8));
    await assertRejects(() => readCheckpoint(directory), LlamaError, "another file of the checkpoint");

    for (const file of ["../model.safetensors", "/etc/model.safetensors", "model.bin", "", 1]) {
      writeFileSync(index, JSON.stringify({ weight_map: { a: file } }));
      await assertRejects(() => readCheckpoint(directory), LlamaError, "weight_map");
    }
    writeFileSync(index, "{}");
    await assertRejects(() => readCheckpoint(directory), LlamaError, "weight_map is missing");
  });
});

test("readCheckpoint() says what to do when there are no safetensors", async () => {
  await inDirectory(async (directory) => {
    writeFileSync(join(directory, "pytorch_model.bin"), "");
    await assertRejects(() => readCheckpoint(directory), LlamaError, "safe_serialization=True");
  });
});
