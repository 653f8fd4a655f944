import { spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { mkdir, mkdtemp, readFile, realpath, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import process from "node:process";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { dirname, join } from "@std/path";
import { run } from "../../build/run.ts";
import { which } from "../../build/toolchain.ts";
import { publish } from "../../build/workspace.ts";
import { runChild } from "../support/child.ts";

const RUNTIME = "Deno" in globalThis ? [process.execPath, "run", "-A"] : [process.execPath];
const WORKER = fileURLToPath(new URL("build_worker.ts", import.meta.url));
const linux = process.platform === "linux";

let directory = "";
before(async () => {
  directory = await realpath(await mkdtemp(join(tmpdir(), "llamasaur-produce-")));
});
after(() => rm(directory, { recursive: true, force: true }));

/** A directory for one test. */
async function fresh(name: string): Promise<string> {
  const path = join(directory, name);
  await mkdir(path, { recursive: true });
  return path;
}

/** One C file whose compilation takes a while, so that it can be killed; `compiler` stands in for the real one. */
async function project(name: string, seconds: number): Promise<string> {
  const root = await fresh(name);
  await mkdir(join(root, "project"));
  const list = `cmake_minimum_required(VERSION 3.18)\nproject(small NONE)\n` +
    `add_custom_command(OUTPUT product COMMAND sh -c "printf half > product; sleep ${seconds}; printf whole > product" VERBATIM)\n` +
    `add_custom_target(all_of_it ALL DEPENDS product)\n`;
  await writeFile(join(root, "project", "CMakeLists.txt"), list);
  return root;
}

function worker(root: string, ...args: string[]) {
  return workerWith({}, root, ...args);
}

function workerWith(variables: Record<string, string>, root: string, ...args: string[]) {
  const [program = "", ...rest] = [...RUNTIME, WORKER, root, ...(args.length > 0 ? args : ["1"])];
  const env = { ...process.env, NO_COLOR: "1", ...variables };
  const child = spawn(program, rest, { env, stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  const { promise: done, resolve } = Promise.withResolvers<{ code: number | null; signal: string | null }>();
  child.stdout.on("data", (bytes) => output += bytes);
  child.on("close", (code, signal) => resolve({ code, signal }));
  return { child, done, output: () => output };
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 1000 && !condition(); i++) await sleep(20);
  assert(condition(), "it did not happen within 20 s");
}

test("produce() makes a product once, and again when its inputs change", { skip: !linux }, async () => {
  const root = await project("once", 0);
  for (const [inputs, words] of [["1", "built"], ["1", "nothing has changed"], ["2", "built"]] as const) {
    const run = worker(root, inputs);
    assertEquals((await run.done).code, 0);
    assertEquals(run.output().trim().split("\n").pop(), words);
    assertEquals(await readFile(join(root, "out", "product"), "utf8"), "whole");
  }
  assertEquals(readdirSync(root).sort(), ["build", "out", "project"]);
});

for (const tool of ["ninja", "make"]) {
  const skip = linux && await which(tool) ? false : `${tool} is not installed, or this is not Linux`;
  test(`generatorHere() lets a project be made where ${tool} is and the other is not`, { skip }, async () => {
    const root = await project(tool, 0);
    const only = join(root, "only");
    await mkdir(only);
    for (const name of ["cmake", tool, "sh", "sleep"]) await symlink((await which(name))!, join(only, name));
    const run = workerWith({ PATH: only }, root);
    assertEquals([(await run.done).code, run.output().trim().split("\n").pop()], [0, "built"]);
  });
}

test(
  "produce() waits for another process that builds the same, and then has nothing to do",
  { skip: !linux },
  async () => {
    const root = await project("two", 1);
    const runs = [worker(root), worker(root)];
    for (const { done } of runs) assertEquals((await done).code, 0);
    const [built, waited] = runs.map((run) => run.output()).sort((a) => a.includes("waiting") ? 1 : -1);
    assertMatch(built!, /making[^]*built\n$/);
    assertMatch(waited!, /^waiting for another build \(process \d+\) to end\nnothing has changed\n$/);
  },
);

test(
  "produce() leaves no product when it is killed, and the next one starts from nothing",
  { skip: !linux },
  async () => {
    const root = await project("killed", 3);
    const first = worker(root);
    await until(() => existsSync(join(root, "build", "product")));
    first.child.kill("SIGKILL");
    assertEquals((await first.done).signal, "SIGKILL");
    assertEquals(existsSync(join(root, "out")), false);
    assertEquals(await readFile(join(root, "build", "product"), "utf8"), "half");
    const next = worker(root);
    assertEquals((await next.done).code, 0);
    assertMatch(
      next.output(),
      /^waiting for another build \(process \d+\) to end\nan earlier build was killed in .*: starting from nothing\nmaking/,
    );
    assertEquals(await readFile(join(root, "out", "product"), "utf8"), "whole");
  },
);

test("produce() stops its compilers and gives back the lock on Ctrl-C", { skip: !linux }, async () => {
  const root = await project("interrupted", 30);
  const first = worker(root);
  await until(() => existsSync(join(root, "build", "product")));
  const start = performance.now();
  first.child.kill("SIGINT");
  const { code, signal } = await first.done;
  assertEquals(code ?? signal, code === null ? "SIGINT" : 130); // Deno reports an exit code of 130 as the signal
  assert(performance.now() - start < 5_000, "the compiler did not stop");
  assertEquals(existsSync(join(root, "lock")), false);
  assertEquals(existsSync(join(root, "build", "building")), false);
  assertEquals(existsSync(join(root, "out")), false);
  assertEquals((await run(["pgrep", "-f", join(root, "build")])).output, "");
});

test("publish() replaces a file at once and leaves one that is the same", async () => {
  const root = await fresh("publish");
  const product = join(root, "product");
  const destination = join(root, "lib", "file");
  await writeFile(product, "one");
  assertEquals(await publish(product, destination), true);
  assertEquals(await publish(product, destination), false);
  await writeFile(destination, "foreign");
  assertEquals(await publish(product, destination), true);
  assertEquals(await readFile(destination, "utf8"), "one");
  assertEquals((await stat(destination)).size, 3);
  assertEquals(readdirSync(dirname(destination)), ["file"]);
});

test("run() stops its programs when the process exits in the middle", { skip: !linux }, async () => {
  const code = `import { run } from ${JSON.stringify(new URL("../../build/run.ts", import.meta.url).href)};
    run(["sh", "-c", "sleep 20.125; true"]);
    setTimeout(() => process.exit(7), 200);`;
  const { code: ended } = await runChild(process.execPath, ["Deno" in globalThis ? "eval" : "-e", code]);
  assertEquals(ended, 7);
  await sleep(200);
  const lines = readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map((pid) =>
    readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")
  );
  assertEquals((await Promise.all(lines)).filter((line) => line.startsWith("sleep\0") && line.includes("20.125")), []);
});
