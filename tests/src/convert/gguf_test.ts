import { test } from "node:test";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { encodeHeader, type GgufTensor, type GgufValue, writeGguf } from "../../../src/convert/gguf.ts";
import { inDirectory } from "../../support/checkpoint.ts";
import { readGguf } from "../../support/gguf_reader.ts";

function tensor(name: string, shape: number[], ...parts: number[][]): GgufTensor {
  return {
    name,
    shape,
    floats: async function* () {
      for (const part of parts) yield await Promise.resolve(new Float32Array(part));
    },
  };
}

const METADATA = new Map<string, GgufValue>([
  ["general.architecture", { string: "bert" }],
  ["a.u32", { u32: 0xffffffff }],
  ["a.f32", { f32: 1e-12 }],
  ["a.bool", { bool: true }],
  ["a.strings", { strings: ["", "▁é", "🦖"] }],
  ["a.i32s", { i32s: [-1, 2147483647] }],
]);

test("writeGguf() writes metadata and tensors that read back the same", async () => {
  await inDirectory(async (directory) => {
    const path = join(directory, "a.gguf");
    await writeGguf(path, METADATA, [tensor("w", [2, 3], [1, 2], [3, 4, 5, 6]), tensor("b", [1], [0.5])]);
    const file = readGguf(path);
    assertEquals(file.version, 3);
    assertEquals([...file.metadata], [
      ["general.architecture", { type: 8, value: "bert" }],
      ["a.u32", { type: 4, value: 0xffffffff }],
      ["a.f32", { type: 6, value: Math.fround(1e-12) }],
      ["a.bool", { type: 7, value: true }],
      ["a.strings", { type: 8, value: ["", "▁é", "🦖"] }],
      ["a.i32s", { type: 5, value: [-1, 2147483647] }],
    ]);
    assertEquals([...file.tensors.keys()], ["w", "b"]);
    const w = file.tensors.get("w")!;
    assertEquals([w.type, w.shape], [0, [2, 3]]);
    assertEquals([...new Float32Array(w.data.slice().buffer)], [1, 2, 3, 4, 5, 6]);
    assertEquals(readFileSync(path).length % 32, 0);
  });
});

test("encodeHeader() lays out the bytes as gguf.h says", () => {
  const bytes = encodeHeader(new Map([["k", { u32: 7 }]]), [tensor("t", [3, 2])]);
  // deno-fmt-ignore
  assertEquals([...bytes], [
    ...[0x47, 0x47, 0x55, 0x46], 3, 0, 0, 0, // "GGUF", version
    1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, // tensors, values
    1, 0, 0, 0, 0, 0, 0, 0, 0x6b, 4, 0, 0, 0, 7, 0, 0, 0, // "k", u32, 7
    1, 0, 0, 0, 0, 0, 0, 0, 0x74, 2, 0, 0, 0, // "t", dimensions
    2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, // fastest first
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // f32, offset
    ...new Array(14).fill(0),
  ]);
});

test("encodeHeader() throws when a tensor does not fit the format", () => {
  const throws = (tensors: GgufTensor[], reason: string) =>
    assertThrows(() => encodeHeader(new Map(), tensors), RangeError, reason);
  throws([tensor("é".repeat(32), [1])], "has 64 bytes, at most 63");
  throws([tensor("a", [1, 1, 1, 1, 1])], "5 dimensions, at most 4");
  throws([tensor("a", [1]), tensor("a", [1])], "there twice");
});

test("writeGguf() leaves the old file and nothing else when writing fails", async () => {
  await inDirectory(async (directory) => {
    const path = join(directory, "a.gguf");
    writeFileSync(path, "old");
    const rejects = async (broken: GgufTensor, reason: string) => {
      await assertRejects(() => writeGguf(path, METADATA, [tensor("b", [1], [1]), broken]), Error, reason);
      assertEquals([readdirSync(directory), readFileSync(path, "utf8")], [["a.gguf"], "old"]);
    };
    await rejects(tensor("w", [3], [1, 2]), "Tensor w of shape [3] has 2 values");
    await rejects(tensor("w", [3], [1, 2], [3, 4]), "Tensor w of shape [3] has 4 values");
    const failing = (): AsyncIterable<Float32Array<ArrayBuffer>> => {
      throw new Error("disk on fire");
    };
    await rejects({ name: "w", shape: [3], floats: failing }, "disk on fire");
  });
});

test("writeGguf() stops when the signal is aborted, and tells the share done", async () => {
  await inDirectory(async (directory) => {
    const path = join(directory, "a.gguf");
    const controller = new AbortController();
    const shares: number[] = [];
    const tensors = [tensor("w", [4], [1], [2], [3], [4])];
    const onProgress = (done: number) => {
      shares.push(done);
      if (done === 0.5) controller.abort(new Error("enough"));
    };
    await assertRejects(
      () => writeGguf(path, METADATA, tensors, { signal: controller.signal, onProgress }),
      Error,
      "enough",
    );
    assertEquals([shares, readdirSync(directory)], [[0.25, 0.5], []]);
  });
});

test("writeGguf() names the place when its directory is missing", async () => {
  await inDirectory(async (directory) => {
    const path = join(directory, "missing", "a.gguf");
    await assertRejects(() => writeGguf(path, METADATA, []), Error, `Cannot write ${path}: there is no such directory`);
    assertEquals(existsSync(path), false);
  });
});
