// What other bindings do, for the tests of complaints: ids straight into a pass, with nothing of src/ before or after it.
import { Lane, open } from "../../ffi/mod.ts";
import type { Pooling } from "../../mod.ts";
import { normalize } from "../../src/vectors.ts";

/** A sequence of ids; segment B begins at `segmentB`, where there is one. */
export interface RawSequence {
  readonly ids: readonly number[];
  readonly segmentB?: number;
}

/** The rows of sequences, each alone in a pass; vectors are normalised, a head's numbers are as they are. */
export async function rawRows(
  path: string,
  pooling: Pooling,
  sequences: readonly RawSequence[],
): Promise<Float32Array[]> {
  const lane = new Lane(await open());
  try {
    const model = await lane.loadModel(path, { gpuLayers: 0, checkTensors: false, device: -1 }, {});
    try {
      const { classes, dimensions } = model.numbers;
      const tokens = Math.max(...sequences.map(({ ids }) => ids.length));
      await lane.initContext(model, { tokens, sequences: 1, threads: 1, pooling, kernels: true });
      const rows: Float32Array[] = [];
      for (const { ids, segmentB = ids.length } of sequences) {
        const row = new Float32Array(pooling === "rank" ? classes : dimensions);
        const lengths = Int32Array.of(ids.length);
        await lane.encode({ tokens: Int32Array.from(ids), lengths, segmentB: Int32Array.of(segmentB) }, row);
        if (pooling !== "rank") normalize(row);
        rows.push(row);
      }
      return rows;
    } finally {
      model.close();
    }
  } finally {
    lane.close();
  }
}
