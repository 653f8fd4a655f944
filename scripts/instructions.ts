// Instructions that a fixed piece of work takes, by callgrind: `deno task instructions [--update] [--repeat N]`
//   --update     writes the counts to scripts/instructions.json
//   --repeat N   counts N times and prints how far the counts are apart
// Fails where a part takes more than is committed. Other programs on the machine change nothing; a compiler, a libc or a
// valgrind of another version does, so counts are compared with those of the same versions only.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { build } from "../build/mod.ts";
import { compilerVersions } from "../build/toolchain.ts";
import { convert } from "../convert.ts";
import { fixture } from "../tests/support/checkpoint.ts";
import { findProgram, ROOT, runChild } from "../tests/support/child.ts";
import { slower, table, type Tally, tally } from "./callgrind.ts";
import { type Counts, summary } from "./junit.ts";

const COMMITTED = join(ROOT, "scripts", "instructions.json");
const MODEL = join(ROOT, "models", "all-minilm-l6-v2-q8_0.gguf");
const TIMEOUT = 600_000;

// The functions whose calls make up a part. A lane's work for an exported function is a std::function of its name.
// A context's count moves by some 3 % with what a load frees before it, although nothing of a context changed: ggml's scheduler
// asks for its tables by calloc, which writes zeros where memory was used before and not where it is new (0.5 of 17 million),
// and the tables are looked up by address.
const PARTS = {
  "start": /^saur_init$/,
  "load": /saur_model_load.*::_M_invoke/,
  "context": /saur_context_init.*::_M_invoke/,
  "tokenise": /saur_vocab_tokenize.*::_M_invoke/,
  "encode": /saur_batch_encode.*::_M_invoke/,
  "encode: llama.cpp": /^llama_(en|de)code$/,
  "encode: stock operators": /^ggml_backend_cpu_graph_compute/,
  "encode: our products": /::product(_\w+)?(<.*>)?\(saur::Product const&/,
  "encode: our attention": /::attention\(ggml_tensor\*/,
  "encode: our rows": /::(norm\(saur::Norm const&|combine\(ggml_tensor\*|gelu\(saur::Gelu)/,
  "calls that bring work": /^saur_(batch_encode|vocab_tokenize)$/,
  "calls that take results": /^saur_(pooling_embeddings|vocab_counts|vocab_tokens)$/,
};

/** What the counts depend on besides the sources. */
async function versions(): Promise<string> {
  const compiler = (await compilerVersions(undefined)).at(-1)?.split("\n")[0];
  const flags = ["CFLAGS", "CXXFLAGS", "LDFLAGS"].flatMap((name) => process.env[name] ?? []);
  const [libc, valgrind] = ([["getconf", "GNU_LIBC_VERSION"], ["valgrind", "--version"]] as const)
    .map(([program, argument]) => spawnSync(program, [argument], { encoding: "utf8" }).stdout?.trim());
  return [process.arch, compiler, libc, valgrind, ...flags].join(", ");
}

/** Why nothing can be counted here. */
function reasonToSkip(): string | undefined {
  if (process.platform !== "linux") return "it was tried on Linux only";
  if (!findProgram("valgrind")) return "valgrind is not installed";
  if (!existsSync(MODEL)) return `there is no ${MODEL}; \`scripts/download_models.sh minilm\` makes it`;
  return undefined;
}

/** Counts once. */
async function count(program: string, reranker: string, directory: string): Promise<Tally> {
  const profile = join(directory, "profile");
  const args = [
    "--tool=callgrind",
    `--callgrind-out-file=${profile}`,
    "--compress-strings=no",
    "--compress-pos=no",
    ...[program, "work", "--model", MODEL, "--model", reranker, "--scratch", directory],
  ];
  const { code, signal, stderr } = await runChild("valgrind", args, { timeout: TIMEOUT });
  if (code !== 0) throw new Error(`valgrind ended with ${signal ?? code}: ${stderr}`);
  return withoutOperators(tally(readFileSync(profile, "utf8"), PARTS));
}

/** Of a pass, what llama.cpp and the shim do around the operators: small beside them, and a change of it is to be seen. */
function withoutOperators(all: Tally): Tally {
  const { "encode: llama.cpp": llama = 0, encode = 0 } = all;
  const operators = Object.keys(all).filter((name) => /^encode: (our|stock)/.test(name));
  const around = llama - operators.reduce((sum, name) => sum + all[name]!, 0);
  return { ...all, "encode: llama.cpp": around, "encode: the shim": encode - llama };
}

async function countOften(directory: string, times: number): Promise<Tally[]> {
  // valgrind 3.19 knows no AVX-512, and the processor is to make no difference
  const { path: program } = await build({ target: "harness", portable: true });
  const reranker = join(directory, "reranker.gguf");
  await convert(fixture("tiny_cross_encoder"), reranker);
  const tallies: Tally[] = [];
  for (let i = 0; i < times; i++) tallies.push(await count(program, reranker, directory));
  return tallies;
}

function printSpread(tallies: readonly Tally[]): void {
  for (const name of Object.keys(tallies[0]!)) {
    const all = tallies.map((tally) => tally[name]!);
    const [least, most] = [Math.min(...all), Math.max(...all)];
    console.log(`${name}: ${least} to ${most}, ${((most / least - 1) * 100).toFixed(4)} % apart`);
  }
}

/** What cannot be compared is a skipped test, and says why. */
async function instructions(
  { update = false, repeat = 1 }: { update?: boolean; repeat?: number } = {},
): Promise<Counts> {
  const skip = reasonToSkip();
  if (skip) return skipped(skip);
  const committed: Record<string, Tally> = JSON.parse(readFileSync(COMMITTED, "utf8"));
  const key = await versions();
  const before = committed[key];
  if (!before && !update) {
    return skipped(`none are committed for ${key}; \`deno task instructions --update\` adds them`);
  }
  const directory = mkdtempSync(join(tmpdir(), "llamasaur-instructions-"));
  const tallies = await countOften(directory, repeat).finally(() => rmSync(directory, { recursive: true }));
  const now = tallies[0]!;
  console.log(table(now, before));
  if (repeat > 1) printSpread(tallies);
  if (update) writeFileSync(COMMITTED, `${JSON.stringify({ ...committed, [key]: now }, undefined, 2)}\n`);
  const worse = update ? [] : slower(now, before!);
  if (worse.length === 0) return { passed: 1, failed: 0, skipped: 0 };
  console.log(`Slower: ${worse.join(", ")}. Where that is the price of something better, commit what`);
  console.log("`deno task instructions --update` writes, and say why.");
  return { passed: 0, failed: 1, skipped: 0 };
}

function skipped(reason: string): Counts {
  console.log(`skipped: instructions are not counted: ${reason}`);
  return { passed: 0, failed: 0, skipped: 1 };
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: { update: { type: "boolean", default: false }, repeat: { type: "string", default: "1" } },
  });
  const counts = await instructions({ update: values.update, repeat: Number(values.repeat) });
  console.log(summary(counts));
  process.exitCode = counts.failed;
}
