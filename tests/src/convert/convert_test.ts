import { test } from "node:test";
import { spawnSync } from "node:child_process";
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { convert, type ConvertOptions, quantize, type WeightType } from "../../../convert.ts";
import { LlamaError } from "../../../ffi/errors.ts";
import { candidates } from "../../../ffi/open.ts";
import { Lane, open } from "../../../ffi/mod.ts";
import {
  copyCheckpoint,
  editJson,
  fixture,
  inDirectory,
  openSafetensors,
  packed,
  writeSafetensors,
} from "../../support/checkpoint.ts";
import { assertEqualsLlama, sha256 } from "../../support/gguf_manifest.ts";
import { readGguf } from "../../support/gguf_reader.ts";

const skip = !candidates().some(({ path, skipped }) => !skipped && existsSync(path));
const MINILM = fixture("../../models/all-minilm-l6-v2-f32.gguf");

const ONLY_OURS = /^(llamasaur\.(max_seq_length|converter|head\.count)|bert\.hidden_activation)$/;
const ONLY_OURS_RANK =
  /^(llamasaur\.(max_seq_length|converter|head\.count)|bert\.hidden_activation|bert\.pooling_type|cls\.(weight|bias))$/;
const TYPES: WeightType[] = ["f32", "f16", "bf16", "q8_0", "q4_k_m"];

for (
  const [name, ours] of [["tiny_bert", ONLY_OURS], ["tiny_cross_encoder", ONLY_OURS_RANK], [
    "tiny_classifier",
    ONLY_OURS_RANK,
  ]] as const
) {
  test(
    `convert() of ${name} is what llama.cpp's converter and quantiser make, but for what only we keep`,
    { skip },
    async () => {
      await inDirectory(async (directory) => {
        for (const type of TYPES) {
          const out = join(directory, `${type}.gguf`);
          await convert(fixture(name), out, { type });
          assertEqualsLlama(out, name, type, ours);
        }
        assertEquals(readdirSync(directory).length, TYPES.length);
      });
    },
  );
}

test(
  "convert() and quantize() of all-MiniLM-L6-v2 give what llama.cpp's give",
  { skip: skip || !existsSync(MINILM) },
  async () => {
    await inDirectory(async (directory) => {
      for (const type of TYPES) {
        const placed = MINILM.replace("f32", type);
        const out = existsSync(placed) ? placed : join(directory, `${type}.gguf`);
        if (out !== placed) await quantize(MINILM, out, type);
        assertEqualsLlama(out, "minilm", type, ONLY_OURS);
      }
    });
  },
);

test("convert() gives the same file whether the weights are in one file or several", async () => {
  await inDirectory(async (directory) => {
    const [whole, sharded] = [join(directory, "whole.gguf"), join(directory, "sharded.gguf")];
    const copy = copyCheckpoint("tiny_bert", directory);
    await convert(copy, whole);
    const { header, data } = openSafetensors(join(copy, "model.safetensors"));
    rmSync(join(copy, "model.safetensors"));
    const names = Object.keys(header).filter((name) => name !== "__metadata__");
    const map: Record<string, string> = {};
    for (const [i, part] of [names.slice(0, 10), names.slice(10)].entries()) {
      const file = `model-0000${i + 1}-of-00002.safetensors`;
      const pieces = part.map((name) => data.subarray(...header[name]!.data_offsets));
      writeSafetensors(
        join(copy, file),
        ...packed(part.map((name, k) => [name, { ...header[name]!, data: pieces[k]! }])),
      );
      for (const name of part) map[name] = file;
    }
    writeFileSync(join(copy, "model.safetensors.index.json"), JSON.stringify({ weight_map: map }));
    await convert(copy, sharded);
    assertEquals(sha256(readFileSync(sharded)), sha256(readFileSync(whole)));
  });
});

test("convert() widens bf16 weights to the same file as their f32 values", async () => {
  await inDirectory(async (directory) => {
    const outs: string[] = [];
    for (const dtype of ["BF16", "F32"]) {
      const copy = copyCheckpoint("tiny_bert", join(directory, dtype));
      const path = join(copy, "model.safetensors");
      const { header, data } = openSafetensors(path);
      const entries = Object.entries(header).filter(([name]) => name !== "__metadata__").map(
        ([name, { shape, data_offsets }]) => {
          const words = new Uint32Array(data.slice(...data_offsets).buffer).map((word) => word & 0xffff0000);
          const halves = Uint16Array.from(words, (word) => word >>> 16);
          const bytes = new Uint8Array(dtype === "BF16" ? halves.buffer : words.buffer);
          return [name, { dtype, shape, data: bytes }] as [
            string,
            { dtype: string; shape: number[]; data: Uint8Array },
          ];
        },
      );
      writeSafetensors(path, ...packed(entries));
      const out = join(directory, `${dtype}.gguf`);
      await convert(copy, out);
      outs.push(sha256(readFileSync(out)));
    }
    assertEquals(outs[0], outs[1]);
  });
});

test("convert() of a cross-encoder gives a model that llama.cpp loads as one", { skip }, async () => {
  await inDirectory(async (directory) => {
    const out = join(directory, "out.gguf");
    const lane = new Lane(await open());
    for (
      const [name, labels] of [["tiny_cross_encoder", ["LABEL_0"]], ["tiny_classifier", [
        "contradiction",
        "entailment",
        "neutral",
      ]]] as const
    ) {
      await convert(fixture(name), out);
      const model = await lane.loadModel(out, { gpuLayers: 0, checkTensors: true, device: -1 }, {});
      assertEquals([model.pooling, model.numbers.classes, model.labels], ["rank", labels.length, [...labels]]);
      model.close();
    }
    lane.close();
  });
});

test("convert() gives the same bytes on Deno and on Bun", async () => {
  await inDirectory(async (directory) => {
    const script = join(directory, "other.ts");
    const entry = new URL("../../../convert.ts", import.meta.url).href;
    const other = "Deno" in globalThis ? ["bun"] : ["deno", "run", "-A", "--quiet"];
    for (const name of ["tiny_bert", "tiny_cross_encoder", "tiny_classifier"]) {
      const [here, there] = [join(directory, "here.gguf"), join(directory, "there.gguf")];
      await convert(fixture(name), here);
      const call = `await convert(${JSON.stringify(fixture(name))}, ${JSON.stringify(there)});`;
      writeFileSync(script, `import { convert } from ${JSON.stringify(entry)};\n${call}\n`);
      const run = spawnSync(other[0]!, [...other.slice(1), script], { encoding: "utf8" });
      assertEquals(run.status, 0, run.stderr);
      assertEquals(sha256(readFileSync(there)), sha256(readFileSync(here)));
    }
  });
});

test("convert() takes file: URLs and names with spaces, and names the model after the directory or as told", async () => {
  await inDirectory(async (directory) => {
    const folder = join(directory, "a model");
    mkdirSync(folder);
    const checkpoint = copyCheckpoint("tiny_bert", folder);
    const out = join(folder, "ä.gguf");
    await convert(pathToFileURL(checkpoint), pathToFileURL(out));
    assertEquals(readGguf(out).metadata.get("general.name")?.value, "tiny_bert");
    await convert(checkpoint, out, { name: "Tiny" });
    assertEquals(readGguf(out).metadata.get("general.name")?.value, "Tiny");
  });
});

test("convert() tells the share done, over both steps", { skip }, async () => {
  await inDirectory(async (directory) => {
    const shares: number[] = [];
    const options: ConvertOptions = { type: "q8_0", onProgress: (done) => shares.push(done) };
    await convert(fixture("tiny_bert"), join(directory, "out.gguf"), options);
    assertEquals(shares, shares.toSorted((a, b) => a - b));
    assertEquals([shares.includes(0.5), shares.at(-1)], [true, 1]);
  });
});

test("convert() leaves the old file and nothing else when it fails or is stopped", async () => {
  await inDirectory(async (directory) => {
    const out = join(directory, "out.gguf");
    writeFileSync(out, "old");
    const rejects = async (checkpoint: string, options: ConvertOptions, reason: string) => {
      const error = await assertRejects(() => convert(checkpoint, out, options), Error, reason);
      assertEquals([readdirSync(directory).filter((name) => name !== "tiny_bert"), readFileSync(out, "utf8")], [[
        "out.gguf",
      ], "old"]);
      return error;
    };
    const controller = new AbortController();
    const stop = () => controller.abort(new Error("enough"));
    await rejects(fixture("tiny_bert"), { signal: controller.signal, onProgress: stop }, "enough");
    await rejects(fixture("tiny_bert"), { signal: AbortSignal.abort(new Error("too late")) }, "too late");
    await rejects(fixture("tiny_bert"), { type: "q9" as WeightType }, "type: it must be one of");
    await rejects(fixture("tiny_bert"), { type: "q8_0", library: join(directory, "none.so") }, "none.so");

    const copy = copyCheckpoint("tiny_bert", directory);
    editJson(join(copy, "config.json"), { architectures: ["T5Model"] });
    const error = await rejects(copy, {}, "T5Model");
    assertEquals((error as LlamaError).code, "model-unsupported");
    assertStringIncludes(error.message, join(copy, "config.json"));
  });
});

test("convert() rejects when the checkpoint or the place for the file is missing", async () => {
  await inDirectory(async (directory) => {
    await assertRejects(
      () => convert(join(directory, "none"), join(directory, "out.gguf")),
      LlamaError,
      "no such directory",
    );
    const nowhere = join(directory, "none", "out.gguf");
    await assertRejects(
      () => convert(fixture("tiny_bert"), nowhere),
      LlamaError,
      `Cannot write ${nowhere}: there is no`,
    );
  });
});

test("convert() makes no mixture of weights that were replaced, or written to, meanwhile", async () => {
  await inDirectory(async (directory) => {
    const other = join(directory, "other.safetensors");
    const out = join(directory, "out.gguf");
    const changes: ((weights: string) => void)[] = [
      ...process.platform === "win32" ? [] : [(weights: string) => renameSync(other, weights)], // it is open there
      (weights) => writeFileSync(weights, readFileSync(other)),
    ];
    for (const change of changes) {
      const copy = copyCheckpoint("tiny_bert", directory);
      const weights = join(copy, "model.safetensors");
      const bytes = readFileSync(weights);
      writeFileSync(other, bytes.fill(0, bytes.length - 4000));
      for (const when of [1, 5, 20]) {
        utimesSync(weights, 1e9, 1e9); // two writes within a tick of the system's clock have one time
        let calls = 0;
        const onProgress = (): void => void (++calls === when && change(weights));
        const error = await assertRejects(() => convert(copy, out, { onProgress }), LlamaError, "was changed while");
        assertEquals(error.code, "model-invalid");
        assertEquals(existsSync(out), false);
        writeFileSync(other, bytes);
      }
    }
  });
});

test("convert() refuses to write over a file of its checkpoint, by whatever path, and may make a GGUF file beside them", async () => {
  await inDirectory(async (directory) => {
    const checkpoint = copyCheckpoint("tiny_bert", directory);
    const weights = join(checkpoint, "model.safetensors");
    const before = readFileSync(weights);
    const hard = join(directory, "hard.gguf");
    linkSync(weights, hard);
    for (const out of [weights, hard, join(checkpoint, "config.json")]) {
      await assertRejects(() => convert(checkpoint, out), RangeError, "which would be lost; give another path");
    }
    assertEquals(readFileSync(weights), before);
    for (let time = 0; time < 2; time++) await convert(checkpoint, join(checkpoint, "model.gguf"));
  });
});
