// What company.ts runs: company_worker.ts SEED RUNS DIRECTORY
import process from "node:process";
import { Llama, type Pooling } from "../../mod.ts";
import { apart, computes, ofType, randomTexts, type Specimen, specimens, TYPES } from "../support/company.ts";
import { randomIntegers } from "../support/random.ts";
import { tell } from "./worker.ts";

// docs/accuracy.md states it.
const MOST = 1e-6;
const POOLINGS: readonly (Pooling | undefined)[] = [undefined, undefined, "mean", "last", "cls", "none"];
const [first = "", runs = "", directory = ""] = process.argv.slice(2);
const all = await specimens(directory);

/** One shape: what is wrong with it; undefined if nothing. */
async function once(seed: number): Promise<string | undefined> {
  const draw = randomIntegers(seed);
  const pick = <T>(list: readonly T[]): T => list[draw(0, list.length - 1)]!;
  const specimen = pick(all);
  const type = pick(TYPES);
  const pooling = pick(POOLINGS);
  await using llama = await load(specimen, await ofType(specimen, type, directory), pooling);
  if (!computes(llama.info, type)) return undefined;
  const { off, at } = await apart(llama, randomTexts(draw, 60));
  return off <= MOST ? undefined : `${specimen.name} ${type} ${llama.info.pooling}, seed ${seed}: ${at}: ${off} apart`;
}

/** With another pooling, if it embeds. */
async function load({ options }: Specimen, file: string, pooling: Pooling | undefined): Promise<Llama> {
  const own = { onLog: () => {}, ...options };
  const llama = await Llama.load(file, own);
  if (pooling === undefined || llama.info.reranker !== "cosine") return llama;
  await llama.close();
  return await Llama.load(file, { ...own, pooling });
}

for (let seed = Number(first) * 10_000; seed < Number(first) * 10_000 + Number(runs); seed++) {
  tell(await once(seed).catch((error) => `seed ${seed}: ${error}`));
}
