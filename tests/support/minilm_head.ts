// A cross-encoder made of MiniLM's body and a random head, as tests/fixtures/make/cross_encoder_logits.py makes it.
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cacheDirectory } from "../../ffi/host/paths.ts";
import { openSafetensors, packed, writeSafetensors } from "./checkpoint.ts";
import { randomTensor } from "../fixtures/randoms.ts";

/** A random tensor, as a fixture describes it. */
export interface Part {
  readonly name: string;
  readonly shape: readonly number[];
  readonly std: number;
  readonly mean?: number;
  readonly seed: number;
}

const cache = cacheDirectory();
const models = cache && join(cache, "models");
const folder = models && existsSync(models) && readdirSync(models, { withFileTypes: true })
  .find((entry) => entry.isDirectory() && entry.name.startsWith("sentence-transformers--all-MiniLM-L6-v2"))?.name;

/** Folder of MiniLM's checkpoint, if it is in the cache. */
export const minilmCheckpoint: string | undefined = folder ? join(models!, folder) : undefined;

/** Makes a cross-encoder of an encoder's checkpoint: the random parts as their generator gives them. */
export function addHead(directory: string, parts: readonly Part[]): void {
  const path = join(directory, "model.safetensors");
  const { header, data } = openSafetensors(path);
  const encoder = Object.entries(header).filter(([name]) => name !== "__metadata__")
    .map(([name, { dtype, shape, data_offsets: [from, to] }]) =>
      [`bert.${name}`, { dtype, shape, data: data.subarray(from, to) }] as const
    )
    .filter(([name]) => !parts.some((part) => part.name === name));
  const head = parts.map(({ name, shape, std, mean, seed }) => {
    const values = randomTensor(seed, shape.reduce((product, n) => product * n, 1), std, mean);
    return [name, { dtype: "F32", shape: [...shape], data: new Uint8Array(values.buffer) }] as const;
  });
  const [table, bytes] = packed([...encoder, ...head].map(([name, t]) => [name, { ...t, shape: [...t.shape] }]));
  writeSafetensors(path, table, bytes);
  const config = JSON.parse(readFileSync(join(directory, "config.json"), "utf8"));
  config.architectures = ["BertForSequenceClassification"];
  config.id2label = { 0: "LABEL_0" };
  config.label2id = { LABEL_0: 0 };
  writeFileSync(join(directory, "config.json"), JSON.stringify(config));
}
