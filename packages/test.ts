/**
 * Tests the package of a platform: `deno task prebuilt:test NAME [--again]`. Natively where the platform is this machine's, else
 * emulated as far as that goes. What passed with the same library is not run again, unless `--again` says so.
 */
import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { BuildError } from "../build/failure.ts";
import { run, shown } from "../build/run.ts";
import { cacheDirectory, libraryFileName, packageRoot } from "../ffi/host/paths.ts";
import { type Arm64, getArm64 } from "./arm64.ts";
import { cross } from "./cross.ts";
import { type Platform, PLATFORMS } from "./platforms.ts";

const ROOT = fileURLToPath(packageRoot());

/** One command that must end with 0. */
interface Step {
  readonly name: string;
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** What can be run of a platform here, in order. */
async function stepsOf(platform: Platform, library: string, cache: string): Promise<readonly Step[]> {
  const deno = ["deno", "test", "-A", "--quiet"];
  const inspected = { name: "the file", command: [...deno, "tests/packages/library_test.ts"] };
  if (platform.platform === process.platform && platform.arch === process.arch) {
    const env = { LLAMASAUR_LIBRARY: library };
    return [
      inspected,
      { name: "old processors", command: [...deno, "tests/packages/processors_test.ts"] },
      { name: "all tests on Deno", command: [...deno, "tests"], env },
      { name: "all tests on Bun", command: ["bun", "test", "--timeout", "600000", "./tests"], env },
      { name: "parity", command: ["deno", "run", "-A", "bench/parity.ts"], env },
    ];
  }
  return platform.name === "linux-arm64-gnu" ? [inspected, ...await emulated(platform, library, cache)] : [inspected];
}

/** Tests that start no other process: an emulated one could not. */
const OF_BUN = ["models/tiny_bert", "models/roberta", "models/cross_encoder", "ffi/cpp/guard", "ffi/cpp/call_guard"];

async function emulated(platform: Platform, library: string, cache: string): Promise<Step[]> {
  const say = (line: string): void => console.error(line);
  const arm: Arm64 = await getArm64(cache, say);
  const { product } = await cross(platform, { cache, program: "kernels_check", say });
  const env = { LLAMASAUR_LIBRARY: library };
  const vectors = ["tests/packages/vectors.ts", "models/all-minilm-l6-v2-f32.gguf"];
  const compare = ["deno", "run", "-A", "tests/packages/vectors.ts", "--compare"];
  return [
    ...["cortex-a53", "max"].map((cpu) => ({
      name: `the kernels on ${cpu}`,
      command: ["deno", "run", "-A", "tests/packages/kernels.ts", ...arm.program(cpu), product],
    })),
    { name: "the reranker on Deno", command: [...arm.deno, "run", "-A", "examples/reranker.ts"], env },
    { name: "the reranker on Bun", command: [...arm.bun, "examples/reranker.ts"], env },
    { name: "vectors like those of this machine", command: [...compare, ...arm.bun, ...vectors], env },
    ...OF_BUN.map((name) => ({
      name: `tests/${name}_test.ts on Bun`,
      command: [...arm.bun, "test", "--timeout", "1200000", `./tests/${name}_test.ts`],
      env,
    })),
  ];
}

/** Runs the steps that have not passed yet; whether all have in the end. */
async function test(platform: Platform, again: boolean): Promise<boolean> {
  const library = join(ROOT, "dist", platform.name, libraryFileName(platform.platform));
  const cache = cacheDirectory();
  if (cache === undefined) throw new BuildError("the user cache is unknown: set XDG_CACHE_HOME or HOME");
  const bytes = await readFile(library).catch(() => {
    throw new BuildError(`${library} is missing: deno task prebuilt ${platform.name}`);
  });
  const sha512 = createHash("sha512").update(bytes).digest("hex");
  const state = join(cache, "prebuilt", `${platform.name}.tested.json`);
  const noted = await readFile(state, "utf8").then(JSON.parse, () => ({}));
  const passed = new Set<string>(!again && noted.sha512 === sha512 ? noted.passed : []);
  let good = true;
  for (const { name, command, env } of await stepsOf(platform, library, cache)) {
    if (passed.has(name)) {
      console.log(`ok (before)  ${name}`);
      continue;
    }
    const start = performance.now();
    const { code, output } = await run(command, { cwd: ROOT, env });
    const seconds = ((performance.now() - start) / 1000).toFixed(0);
    console.log(`${code === 0 ? "ok" : "FAILED"} ${seconds} s  ${name}`);
    if (code === 0) passed.add(name);
    else console.log(`${shown(command)}\n${output}`);
    if (code === 0) console.log(output.trim().split("\n").slice(-3).map((line) => `    ${line}`).join("\n"));
    good &&= code === 0;
    await writeFile(state, JSON.stringify({ sha512, passed: [...passed] }));
  }
  return good;
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    args: process.argv.slice(2),
    options: { again: { type: "boolean", default: false } },
    allowPositionals: true,
  });
  const platform = PLATFORMS.find(({ name }) => name === positionals[0]);
  if (platform === undefined) {
    throw new BuildError(`give one of ${PLATFORMS.map(({ name }) => name).join(", ")}`);
  }
  if (!await test(platform, values.again)) process.exitCode = 1;
}

if (import.meta.main) {
  await main().catch((error) => {
    if (!(error instanceof BuildError)) throw error;
    console.error(`error: ${error.message}`);
    process.exitCode = 1;
  });
}
