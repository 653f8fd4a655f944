// An assertion inside a kernel of ggml, in the middle of a pass: on a context of one thread the kernels run on the
// lane's own thread, so it becomes an error, and the lane goes on. The check of the file's header would refuse such a
// file; it is left out here.
import { test } from "node:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { convert } from "../../../convert.ts";
import { Lane, type Model, open } from "../../../ffi/mod.ts";
import { LlamaError } from "../../../ffi/errors.ts";
import { parse, serialise } from "../../torture/gguf.ts";
import { withTensorType } from "../../torture/hostile.ts";
import { fixture, inDirectory } from "../../support/checkpoint.ts";

const F16 = 1;
const SETTINGS = { gpuLayers: 0, checkTensors: false, device: -1 };
const CONTEXT = { tokens: 64, sequences: 4, threads: 1, pooling: "mean", kernels: true } as const;
const WIDTH = 64;

async function encode(lane: Lane, model: Model): Promise<Float32Array> {
  await lane.initContext(model, CONTEXT);
  const out = new Float32Array(WIDTH);
  await lane.encode({ tokens: Int32Array.of(2, 10, 20, 3), lengths: Int32Array.of(4) }, out);
  return out;
}

test("Lane.encode() turns an assertion inside a kernel into an error, and the lane's next pass is right", async () => {
  await inDirectory(async (directory) => {
    const [good, bad] = [join(directory, "good.gguf"), join(directory, "bad.gguf")];
    await convert(fixture("tiny_bert"), good);
    // A bias of f16: ggml-cpu adds f32 to f32 only, and says so by an abort in ggml_compute_forward_add.
    const gguf = parse(new Uint8Array(readFileSync(good)));
    const bias = gguf.tensors.findIndex(({ name }) => new TextDecoder().decode(name) === "blk.1.ffn_down.bias");
    writeFileSync(bad, serialise(withTensorType(gguf, bias, F16)));
    const lane = new Lane(await open());
    try {
      const sound = await lane.loadModel(good, SETTINGS, {});
      const before = await encode(lane, sound);
      const refused = await assertRejects(() => lane.loadModel(bad, SETTINGS, {}), LlamaError, "blk.1.ffn_down.bias");
      assertEquals(refused.code, "model-invalid");
      const unsound = await lane.loadModel(bad, { ...SETTINGS, checkHeader: false }, {});
      for (let i = 0; i < 3; i++) {
        const error = await assertRejects(() => encode(lane, unsound), LlamaError);
        assertEquals(error.code, "context-lost");
        assertMatch(error.message, /binary-ops\.cpp:\d+: binary_op: unsupported types: .*src1: f16/);
        assertEquals(await encode(lane, sound), before);
      }
      unsound.close();
      sound.close();
    } finally {
      lane.close();
    }
  });
});
