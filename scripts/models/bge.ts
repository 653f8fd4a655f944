// bge-small-en-v1.5 by BAAI (MIT), quantised by CompendiumLabs.
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fetchFile, type Hub } from "./hub.ts";
import { exists, modelCache, place } from "./place.ts";

const REPOSITORY = "CompendiumLabs/bge-small-en-v1.5-gguf";
const FILE = "bge-small-en-v1.5-q4_k_m.gguf";

/** Gets `bge-small-en-v1.5-q4_k_m.gguf` from the hub into the cache, and from there into a folder. */
export async function getBge(
  folder: string,
  hub: Hub,
  onProgress?: (done: number, total: number | undefined) => void,
): Promise<void> {
  const cached = join(modelCache(), REPOSITORY.replace("/", "--"), FILE);
  if (!await exists(cached)) {
    await mkdir(dirname(cached), { recursive: true });
    await fetchFile(hub, { repository: REPOSITORY, path: FILE, magic: "GGUF" }, cached, onProgress);
  }
  await place(cached, folder);
}
