// The shim without a runtime: the C++ harness as it is, under the compiler's sanitizers and under valgrind.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { build } from "../../build/mod.ts";
import { convert, quantize } from "../../convert.ts";
import { fixture } from "../support/checkpoint.ts";
import { findProgram, type Outcome, ROOT, runChild } from "../support/child.ts";
import { withNumber, withTokenTwice } from "../support/damaged_gguf.ts";
import { type Case, type Context, wrongEnd } from "./case.ts";

const SUPPRESSIONS = join(ROOT, "tests", "torture", "suppressions");
const MODELS = ["tiny_bert", "tiny_classifier", "tiny_cross_encoder"];
const CAUSAL = ["families/qwen3_reranker_plain.gguf", "families/qwen3_reranker_head.gguf"];
const TIMEOUT = 600_000;

/** How the harness is built and run; all of it is on Linux and macOS only. */
interface Watcher {
  readonly name: string;
  readonly sanitize?: "address" | "thread";
  /** Before the harness in the command line. */
  readonly wrapper?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** How much slower it is: steps are divided by it. */
  readonly slower: number;
  readonly big: number;
  readonly skip: () => string | undefined;
}

const suppressions = (name: string): string => `suppressions=${join(SUPPRESSIONS, name)}`;

const PLAIN: Watcher = { name: "plain", slower: 1, big: 1 << 20, skip: () => undefined };
const ADDRESS: Watcher = {
  name: "AddressSanitizer and UBSan",
  sanitize: "address",
  env: {
    // a bad file may ask for more memory than there is: the allocator's answer is to be tried, not reported
    ASAN_OPTIONS: "detect_stack_use_after_return=1:strict_string_checks=1:allocator_may_return_null=1",
    UBSAN_OPTIONS: `print_stacktrace=1:halt_on_error=1:${suppressions("ubsan.supp")}`,
    LSAN_OPTIONS: suppressions("lsan.supp"),
  },
  slower: 2,
  big: 1 << 17,
  skip: () => missingRuntime("address,undefined"),
};
const THREAD: Watcher = {
  name: "ThreadSanitizer",
  sanitize: "thread",
  env: { TSAN_OPTIONS: `second_deadlock_stack=1:history_size=4:${suppressions("tsan.supp")}` },
  slower: 3,
  big: 1 << 16,
  skip: () => missingRuntime("thread"),
};
const VALGRIND: Watcher = {
  name: "valgrind",
  // one thread runs at a time; without fair turns a lane may wait for seconds
  wrapper: [
    "valgrind",
    "--quiet",
    "--error-exitcode=99",
    "--leak-check=full",
    "--errors-for-leak-kinds=definite",
    "--show-leak-kinds=definite",
    "--fair-sched=yes",
    "--run-libc-freeres=no", // it frees what other threads still use
    `--suppressions=${join(SUPPRESSIONS, "valgrind.supp")}`,
  ],
  slower: 10,
  big: 1 << 14,
  skip: () => findProgram("valgrind") === undefined ? "valgrind is not installed" : undefined,
};

/** Why this compiler's programs cannot run under a sanitizer. */
function missingRuntime(sanitizer: string): string | undefined {
  const program = join(tmpdir(), `llamasaur-sanitizer-${process.pid}`);
  const compiler = process.env.CXX ?? "c++";
  const made = spawnSync(compiler, [`-fsanitize=${sanitizer}`, "-x", "c++", "-", "-o", program], {
    input: "int main() { return 0; }",
    encoding: "utf8",
  });
  if (made.status !== 0) return `${compiler} has no -fsanitize=${sanitizer}`;
  const ran = spawnSync(program, { encoding: "utf8" });
  return ran.status === 0 ? undefined : `-fsanitize=${sanitizer} does not run here: ${ran.stderr.split("\n")[0]}`;
}

const built = new Map<string, Promise<string>>();

/** Builds a program, once. */
async function program(watcher: Watcher, target: string): Promise<string> {
  const key = `${watcher.name} ${target}`;
  if (!built.has(key)) {
    // valgrind 3.19 knows no AVX-512
    const portable = watcher.name === VALGRIND.name;
    built.set(key, build({ target, sanitize: watcher.sanitize, portable }).then(({ path }) => path));
  }
  return await built.get(key)!;
}

/** Good and bad files, as arguments. */
async function files({ directory, draw }: Context): Promise<string[]> {
  const path = (name: string): string => join(directory, `${name}.gguf`);
  for (const name of MODELS) await convert(fixture(name), path(name));
  const tiny = path(MODELS[0]!);
  await quantize(tiny, path("bf16"), "bf16"); // weights with kernels of their own
  const bad = [
    withTokenTwice(tiny, path("twice")),
    withNumber(tiny, path("no blocks"), "bert.block_count", 0),
    withNumber(tiny, path("many blocks"), "bert.block_count", 1_000_000),
    withNumber(tiny, path("unknown pooling"), "bert.pooling_type", 77),
  ];
  const write = (name: string, bytes: Uint8Array): void => {
    writeFileSync(path(name), bytes);
    bad.push(path(name));
  };
  const bytes = readFileSync(tiny);
  write("html", new TextEncoder().encode("<!doctype html>"));
  write("empty", new Uint8Array());
  for (let i = 0; i < 4; i++) write(`cut ${i}`, bytes.subarray(0, draw(4, bytes.length - 1)));
  for (let i = 0; i < 10; i++) {
    const copy = new Uint8Array(bytes);
    for (let n = draw(1, 8); n > 0; n--) copy[draw(4, i % 2 ? 4000 : copy.length - 1)] = draw(0, 255);
    write(`changed ${i}`, copy);
  }
  mkdirSync(join(directory, "scratch"), { recursive: true });
  return [
    ...[...MODELS, "bf16"].flatMap((name) => ["--model", path(name)]),
    ...CAUSAL.flatMap((name) => ["--model", fixture(name)]),
    ...bad.flatMap((file) => ["--bad", file]),
    "--scratch",
    join(directory, "scratch"),
  ];
}

async function run(watcher: Watcher, mode: string, args: readonly string[]): Promise<Outcome> {
  const command = [
    ...(watcher.wrapper ?? []),
    await program(watcher, "harness"),
    mode,
    ...args,
    "--big",
    String(watcher.big),
  ];
  const env = { ...watcher.env };
  // what leaves in the middle has threads that nobody has joined, and on purpose frees nothing
  if (mode === "leave" && env.TSAN_OPTIONS) env.TSAN_OPTIONS += ":report_thread_leaks=0";
  if (mode === "leave" && env.ASAN_OPTIONS) env.ASAN_OPTIONS += ":detect_leaks=0";
  return await runChild(command[0]!, command.slice(1), { env, timeout: TIMEOUT });
}

/** What a run has to say: the first finding of a sanitizer, or how it ended. */
function verdict(outcome: Outcome, what: string): string | undefined {
  const ended = wrongEnd(outcome);
  if (ended === undefined) return undefined;
  const finding = outcome.stderr.split("\n").find((line) =>
    /SUMMARY:|runtime error:|^wrong:|^==\d+== [A-Z]/.test(line)
  );
  return `${what}: ${finding ?? ended}`;
}

async function* checks(watcher: Watcher, context: Context): AsyncIterable<string | undefined> {
  const args = await files(context);
  for (let i = 0; i < context.planned; i++) yield verdict(await run(watcher, "checks", args), "checks");
}

/** Threads at work; the last run also fails when all of them together have computed nothing. */
async function* threads(watcher: Watcher, context: Context): AsyncIterable<string | undefined> {
  const { draw, planned } = context;
  const args = await files(context);
  let again = 0;
  for (let i = 0; i < planned; i++) {
    const seed = String(draw(0, 1_000_000));
    const steps = String(Math.ceil(300 / watcher.slower));
    const outcome = await run(watcher, "random", [...args, "--seed", seed, "--steps", steps, "--threads", "2"]);
    const failure = verdict(outcome, `seed ${seed}`);
    again += Number(/"results again":(\d+)/.exec(outcome.stdout)?.[1] ?? 0);
    // valgrind's few steps may well have no two equal passes
    const must = i === planned - 1 && watcher.slower < 10;
    yield failure ?? (must && again === 0 ? "no pass was computed twice" : undefined);
  }
}

async function* leaving(watcher: Watcher, context: Context): AsyncIterable<string | undefined> {
  const { draw, planned } = context;
  const args = await files(context);
  // What a thread that is ended had in a register alone, such as what malloc just gave, is nowhere: no leak.
  const calm = watcher.wrapper ? { ...watcher, wrapper: [...watcher.wrapper, "--leak-check=no"] } : watcher;
  for (let i = 0; i < planned; i++) {
    const way = ["return", "exit", "thread"][i % 3]!;
    const seed = String(draw(0, 1_000_000));
    const more = ["--seed", seed, "--steps", "100000", "--threads", "3", "--leave", way];
    yield verdict(await run(calm, "leave", [...args, ...more]), `${way}, seed ${seed}`);
  }
}

/** Every operator of our kernels, for each instruction set that this processor has; valgrind's has AVX2 alone. */
async function* kernels(watcher: Watcher, { draw, planned }: Context): AsyncIterable<string | undefined> {
  for (let i = 0; i < planned; i++) {
    const seed = String(draw(0, 1_000_000));
    const command = [...(watcher.wrapper ?? []), await program(watcher, "kernels_check"), seed];
    const outcome = await runChild(command[0]!, command.slice(1), {
      env: { ...watcher.env, ...aligned(watcher) },
      timeout: 3 * TIMEOUT,
    });
    yield verdict(outcome, `seed ${seed}`);
  }
}

/** Without the check of frames that were left: gcc before 13 puts vectors of 64 bytes at 32 there, and each such store is a SEGV. */
function aligned({ env }: Watcher): Record<string, string> {
  const options = env?.["ASAN_OPTIONS"];
  return options === undefined ? {} : { ASAN_OPTIONS: `${options}:detect_stack_use_after_return=0` };
}

type Run = (watcher: Watcher, context: Context) => AsyncIterable<string | undefined>;

function casesOf(watcher: Watcher, plans: readonly [what: string, run: Run, ci: number, full: number][]): Case[] {
  let skip: { readonly reason: string | undefined } | undefined;
  return plans.map(([what, run, ci, full]): Case => ({
    name: `memory: ${what}, ${watcher.name}`,
    platforms: ["native"],
    planned: { ci, full },
    repeats: run !== checks,
    get skip() {
      const windows = process.platform === "win32" ? "the harness was never built on Windows" : undefined;
      return windows ?? (skip ??= { reason: watcher.skip() }).reason;
    },
    run: (context) => run(watcher, context),
  }));
}

const CHECKS = "every refusal and result of the shim";
const THREADS = "threads and lanes at random";
const LEAVING = "the process leaves in the middle";
const KERNELS = "every operator of the kernels";

/** The suite's cases. */
export const cases: readonly Case[] = [
  ...casesOf(PLAIN, [[CHECKS, checks, 1, 1], [THREADS, threads, 4, 60], [LEAVING, leaving, 6, 60]]),
  ...casesOf(ADDRESS, [
    [CHECKS, checks, 0, 1],
    [THREADS, threads, 0, 20],
    [LEAVING, leaving, 0, 30],
    [KERNELS, kernels, 0, 3],
  ]),
  ...casesOf(THREAD, [[CHECKS, checks, 0, 1], [THREADS, threads, 0, 20], [LEAVING, leaving, 0, 30]]),
  ...casesOf(VALGRIND, [
    [CHECKS, checks, 0, 1],
    [THREADS, threads, 0, 2],
    [LEAVING, leaving, 0, 3],
    [KERNELS, kernels, 0, 1],
  ]),
];
