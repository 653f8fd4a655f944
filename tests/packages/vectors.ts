/**
 * Vectors of ten texts, to be compared between processors.
 *
 *   vectors.ts MODEL                    prints them as JSON
 *   vectors.ts --compare COMMAND…       runs the command, which prints them, and compares with those of this machine's library
 */
import process from "node:process";
import { run } from "../../build/run.ts";
import { Llama } from "../../mod.ts";

const TEXTS = [
  "a",
  "seven",
  "the river is cold in winter",
  "Rust is a memory-safe systems programming language.",
  "Paris is the capital city of France.",
  "Bananas are yellow fruit rich in potassium.",
  "Ein Satz in einer anderen Sprache, mit Umlauten: äöü.",
  "日本語のテキスト",
  "0123456789 !?",
  "a longer text of words, ".repeat(8), // half an hour of qemu's beside other work was not enough for 20
];
const TOLERANCE = 1e-6;

/** The vectors of the texts, each text in a call of its own. */
async function vectors(model: string): Promise<number[][]> {
  await using llama = await Llama.load(model);
  const rows: number[][] = [];
  for (const text of TEXTS) rows.push([...await llama.embed(text)]);
  return rows;
}

async function compare(command: readonly string[]): Promise<void> {
  const { code, output } = await run(command);
  if (code !== 0) throw new Error(`Cannot compare: ${output}`);
  const line = output.split("\n").find((line) => line.startsWith("[["))!; // Bun says something else, too, under wine
  const theirs = JSON.parse(line) as number[][];
  delete process.env.LLAMASAUR_LIBRARY; // names the library for the other processor
  const ours = await vectors(command.at(-1)!);
  const differences = ours.map((row, i) => Math.max(...row.map((x, j) => Math.abs(x - theirs[i]![j]!))));
  console.log(`largest difference of a number, by text: ${differences.map((one) => one.toExponential(1)).join(" ")}`);
  if (!(Math.max(...differences) <= TOLERANCE)) process.exitCode = 1;
}

const [first = "", ...rest] = process.argv.slice(2);
if (first === "--compare") await compare(rest);
else console.log(JSON.stringify(await vectors(first)));
