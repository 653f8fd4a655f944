import { test } from "node:test";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import process from "node:process";
import { setImmediate } from "node:timers";
import { pathToFileURL } from "node:url";
import { LlamaError, ModelNotFoundError, readHeader } from "../../../models.ts";
import { inDirectory } from "../../support/checkpoint.ts";
import { ROOT } from "../../support/child.ts";
import { readGguf } from "../../support/gguf_reader.ts";
import { copy, parse, serialise, setKey, value } from "../../torture/gguf.ts";

const FILE = join(ROOT, "tests", "fixtures", "families", "xlm_roberta_reranker.gguf");
const MODELS = ["all-minilm-l6-v2-q8_0", "all-minilm-l6-v2-bf16"].map((name) => join(ROOT, "models", `${name}.gguf`));

test("readHeader() has what another reader finds in the file: metadata, and tensors with their sizes", async () => {
  for (const path of [FILE, ...MODELS.filter(existsSync)]) {
    const { version, size, metadata, tensors, ...rest } = await readHeader(path);
    const file = readGguf(path);
    assertEquals([rest.path, version, size], [path, file.version, readFileSync(path).length]);
    assertEquals(Object.keys(metadata), [...file.metadata.keys()]);
    for (const [key, field] of file.metadata) assertEquals(metadata[key], field.value, key);
    assertEquals(
      tensors.map(({ name, shape, bytes }) => ({ name, shape, bytes })),
      [...file.tensors].map(([name, { shape, data }]) => ({ name, shape: [...shape], bytes: data.length })),
    );
  }
  assertEquals(new Set((await readHeader(pathToFileURL(FILE))).tensors.map(({ type }) => type)), new Set(["f32"]));
});

test("readHeader() joins the tensors of a split model, whichever part is named", async () => {
  await inDirectory(async (directory) => {
    const whole = parse(readFileSync(FILE));
    const { tensors } = await readHeader(FILE);
    const paths = [1, 2].map((part) => join(directory, `a-0000${part}-of-00002.gguf`)) as [string, string];
    paths.forEach((path, part) => {
      const gguf = setKey(copy(whole), "split.no", value.u32(part));
      gguf.tensors = part === 0 ? gguf.tensors.slice(0, 3) : gguf.tensors.slice(3);
      gguf.tensorCount = BigInt(gguf.tensors.length);
      writeFileSync(path, serialise(gguf));
    });
    for (const path of paths) assertEquals((await readHeader(path)).tensors, tensors);
    assertEquals((await readHeader(paths[1])).metadata["split.no"], 0);
    const lone = join(directory, "b-00001-of-00002.gguf");
    writeFileSync(lone, readFileSync(paths[0]));
    await assertRejects(() => readHeader(lone), ModelNotFoundError, "b-00002-of-00002.gguf");
  });
});

test("readHeader() says of a file that is cut off at any place of its header that it is", async () => {
  await inDirectory(async (directory) => {
    const path = join(directory, "cut.gguf");
    const bytes = readFileSync(FILE);
    const header = bytes.length - [...readGguf(FILE).tensors.values()].reduce((sum, { data }) => sum + data.length, 0);
    const steps = (length: number): number => length < 1000 ? 13 : 1009; // all of a header's parts are within the first bytes
    for (let length = 0; length < header - 40; length += steps(length)) {
      writeFileSync(path, bytes.subarray(0, length));
      const error = await readHeader(path).catch((error) => error);
      assert(error instanceof LlamaError && error.code === "model-invalid", `${length}: ${error}`);
      assertStringIncludes(error.message, "ends within its header");
    }
    writeFileSync(path, bytes);
    truncateSync(path, header);
    assertEquals((await readHeader(path)).tensors.length, 41); // the weights are not looked at
  });
});

test("readHeader() refuses what is no GGUF file, and counts that no file could hold, without reading on", async () => {
  await inDirectory(async (directory) => {
    const path = join(directory, "wrong.gguf");
    const bytes = readFileSync(FILE);
    const changed = (at: number, change: readonly number[]): Uint8Array => {
      const copied = Uint8Array.from(bytes);
      copied.set(change, at);
      return copied;
    };
    const huge = [255, 255, 255, 255, 255, 255, 255, 127];
    for (
      const [content, told] of [
        [new TextEncoder().encode("# A README that is longer than a header"), "it is no GGUF file"],
        [changed(4, [0, 0, 0, 3]), "other byte order"],
        [changed(4, [1, 0, 0, 0]), "version 1"],
        [changed(8, huge), "counts"],
        [changed(24, huge), "counts"],
        [changed(24, [255, 255, 255, 0, 0, 0, 0, 0]), "ends within its header"],
        [changed(24 + 8 + "general.architecture".length, [99]), "type 99"],
      ] as const
    ) {
      writeFileSync(path, content);
      const error = await readHeader(path).catch((error) => error);
      assert(error instanceof LlamaError && error.code === "model-invalid", String(error));
      assertStringIncludes(error.message, told);
      assertStringIncludes(error.message, basename(path));
    }
    await assertRejects(() => readHeader(directory), LlamaError, "it is a directory");
    await assertRejects(() => readHeader(join(directory, "none.gguf")), ModelNotFoundError);
    await assertRejects(() => readHeader("hf:owner"), RangeError);
  });
});

/** A sparse file with one key, "a": a list of bytes, which are zero. */
function writeList(path: string, keys: bigint, count: number): void {
  const view = new DataView(new ArrayBuffer(49));
  view.setUint32(0, 0x46554747, true);
  view.setUint32(4, 3, true); // version
  view.setBigUint64(16, keys, true);
  view.setBigUint64(24, 1n, true); // bytes of its name
  view.setUint8(32, "a".charCodeAt(0));
  view.setUint32(33, 9, true); // a list
  view.setBigUint64(41, BigInt(count), true);
  writeFileSync(path, new Uint8Array(view.buffer));
  truncateSync(path, 49 + count);
}

test("readHeader() refuses lists and counts that Llama.load refuses, before it makes anything of them", async () => {
  await inDirectory(async (directory) => {
    const path = join(directory, "sparse.gguf");
    writeList(path, 1n, 150_000_000);
    await assertRejects(
      () => readHeader(path),
      LlamaError,
      'the key "a" has 150000000 elements, at most 16777216 are allowed',
    );
    writeList(path, 40_000_000n, 1000);
    await assertRejects(() => readHeader(path), LlamaError, "40000000 keys, at most 20000 and 10000 are allowed");
    writeList(path, 1n, 3_000_000); // more than the first read
    const { metadata } = await readHeader(path);
    assert((metadata["a"] as number[]).length === 3_000_000 && (metadata["a"] as number[]).every((one) => one === 0));
  });
});

test("readHeader() lets other work run between the elements of a long list", async () => {
  await inDirectory(async (directory) => {
    const path = join(directory, "long.gguf");
    let [turns, read] = [0, false];
    const count = (): void => void (read || (turns++, setImmediate(count)));
    const counted = async (length: number): Promise<number> => {
      writeList(path, 1n, length);
      [turns, read] = [0, false];
      setImmediate(count);
      await readHeader(path);
      read = true;
      return turns;
    };
    // In one go the turns would be those of a few reads more. A busy machine lets a short read wait for many turns now and then.
    const tries: [few: number, many: number][] = [];
    do tries.push([await counted(100), await counted(16_000_000)]); while (
      tries.length < 5 && !tries.some(([few, many]) => many > few + 20)
    );
    assert(tries.some(([few, many]) => many > few + 20), `turns: ${tries.join(" ")}`);
  });
});

test("readHeader() refuses a pipe and a circle of links, and names the file", {
  skip: process.platform === "win32",
}, async () => {
  await inDirectory(async (directory) => {
    const [pipe, circle] = ["pipe.gguf", "circle.gguf"].map((name) => join(directory, name)) as [string, string];
    execFileSync("mkfifo", [pipe]);
    symlinkSync("circle.gguf", circle);
    for (const [path, told] of [[pipe, "it is a pipe or a device"], [circle, "its links lead in a circle"]] as const) {
      const error = await assertRejects(() => readHeader(path), LlamaError, told);
      assertStringIncludes(error.message, path);
    }
  });
});
