// How far the vectors of two processors or libraries are apart: `deno run -A bench/micro/processors.ts [options]`
//   --keep FILE      writes the vectors to FILE, to be taken to another machine
//   --against FILE   compares with the vectors in FILE; without it, with this library's own without our kernels
//   --library FILE   another library than the usual one, such as one built with --portable
//   --no-kernels     computes with ggml's operators alone
// Embeds fixed texts with the tests' model of each embedder's family, its weights in f32, bf16 and q8_0; prints the largest
// difference of any number of a vector, which has length 1. Nothing of it is timed.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { quantize, type WeightType } from "../../convert.ts";
import { Llama, type LoadOptions } from "../../mod.ts";
import { fixture } from "../../tests/support/checkpoint.ts";
import { describeMachine } from "../machine.ts";
import { machineLine, table } from "../report.ts";

/** Vectors by "type family", their numbers back to back. */
type Vectors = Record<string, number[]>;

const TYPES: readonly WeightType[] = ["f32", "bf16", "q8_0"];

const TEXTS = [
  "a",
  "hello world",
  "Die Straße ist naß; l'été, c'est déjà fini.",
  "日本語のテキスト と 한국어",
  "a longer text that goes on for a while, so that attention has some tokens to look at. ".repeat(3),
];

/** Embeds the texts with each family of embedders. */
async function embedAll(options: LoadOptions): Promise<Vectors> {
  const vectors: Vectors = {};
  const scratch = mkdtempSync(join(tmpdir(), "llamasaur-"));
  try {
    for (const file of readdirSync(fixture("families")).filter((name) => /^(?!.*rerank).*\.gguf$/.test(name))) {
      for (const type of TYPES) {
        const path = type === "f32" ? join(fixture("families"), file) : join(scratch, `${type} ${file}`);
        if (type !== "f32") await quantize(join(fixture("families"), file), path, type);
        await using llama = await Llama.load(path, { ...options, onLog() {} });
        if (llama.info.reranker !== "cosine") continue;
        vectors[`${type} ${file.slice(0, -5)}`] = (await llama.embed(TEXTS)).flatMap((one) => Array.from(one));
      }
    }
  } finally {
    rmSync(scratch, { recursive: true });
  }
  return vectors;
}

/** A row a type: the largest difference, and the family that has it. */
function differences(here: Vectors, there: Vectors): string[][] {
  return TYPES.map((type) => {
    let most = 0, where = "";
    for (const [name, numbers] of Object.entries(here).filter(([name]) => name.startsWith(`${type} `))) {
      const others = there[name];
      if (others?.length !== numbers.length) throw new Error(`${name}: the other vectors are of other models or texts`);
      for (const [i, number] of numbers.entries()) {
        const far = Math.abs(number - others[i]!);
        if (!(far <= most)) [most, where] = [far, name.slice(type.length + 1)];
      }
    }
    return [type, most.toExponential(1), where];
  });
}

const { values } = parseArgs({
  options: {
    keep: { type: "string" },
    against: { type: "string" },
    library: { type: "string" },
    "no-kernels": { type: "boolean", default: false },
  },
});
const library = values.library === undefined ? {} : { library: values.library };
const machine = describeMachine();
const here = await embedAll({ ...library, kernels: !values["no-kernels"] });
if (values.keep !== undefined) writeFileSync(values.keep, JSON.stringify(here));
const there: Vectors = values.against === undefined
  ? await embedAll({ ...library, kernels: false })
  : JSON.parse(readFileSync(values.against, "utf8"));
console.log(machineLine(machine));
console.log(table(["weights", "largest difference", "of the family"], differences(here, there)));
