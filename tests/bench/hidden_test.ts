// The processor that the bench hides: programs, threads, forks and both runtimes see AVX2 alone, and handle faults as ever.
import { after, test } from "node:test";
import { assertEquals, assertRejects } from "@std/assert";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { hideProcessor, hidingLibrary, machineSeen, whyNotHidden } from "../../bench/hidden.ts";
import { classOf } from "../../bench/machine.ts";
import { machineLine } from "../../bench/report.ts";
import { findProgram, ROOT, runChild } from "../support/child.ts";

const compiler = process.env["CC"] || "cc";
const skip = whyNotHidden() ?? (findProgram(compiler) === undefined && `there is no ${compiler}`);
const AVX2 = 1; // of what processor_seen.c prints
const scratch = mkdtempSync(join(tmpdir(), "llamasaur-hidden-"));
after(() => rmSync(scratch, { recursive: true }));

async function compiled(name: string, ...flags: string[]): Promise<string> {
  const path = join(scratch, name);
  const source = join(ROOT, "tests", "support", "processor_seen.c");
  const { code, stderr } = await runChild(compiler, ["-O1", ...flags, "-o", path, source, "-lpthread"]);
  assertEquals(code, 0, stderr);
  return path;
}

test("hidingLibrary() hides wider instructions from constructors, threads, forks and beside other handlers", {
  skip,
}, async () => {
  const program = await compiled("seen");
  const { stdout, signal } = await runChild(program, [], { env: { LD_PRELOAD: await hidingLibrary() } });
  const places = ["constructor", "main", "thread", "fork"].map((place) => `${place} ${AVX2}`);
  const beside = ["beside a handler", "handler"].map((place) => `${place} ${AVX2}`);
  assertEquals(stdout.trim().split("\n"), [...places, "nobody else's handler 1", ...beside]);
  assertEquals(signal, "SIGSEGV", "the second fault is not handled");
});

test("hidingLibrary() leaves a runtime its own handling of faults", { skip }, async () => {
  const library = await compiled("seen.so", "-shared", "-fPIC");
  const script = join(ROOT, "tests", "support", "processor_seen.ts");
  const words = "Deno" in globalThis ? ["run", "-A", script, library] : [script, library];
  const { stdout, stderr } = await runChild(process.execPath, words, { env: { LD_PRELOAD: await hidingLibrary() } });
  assertEquals(stderr, "");
  assertEquals(JSON.parse(stdout), { seen: AVX2, trapped: "RuntimeError", after: AVX2 });
});

test("hideProcessor() says what it cannot cut a processor to", async () => {
  await assertRejects(() => hideProcessor("AVX-512"), RangeError, '--class is "AVX-512": use AVX2');
});

test("machineSeen() is of the class that is left, and says what was hidden", () => {
  const instructions = "fma avx f16c avx2 avx512f avx512bw avx_vnni avx512_bf16 amx_bf16 amx_int8";
  const machine = { cpu: "a CPU", cores: 2, instructions, system: "linux", versions: "1", load: 0 };
  assertEquals([classOf(machine), classOf(machineSeen(machine))], ["AMX", "AVX2"]);
  const line =
    "a CPU (fma avx f16c avx2; AVX-512, AVX-VNNI and AMX hidden from each program (CPUID faulting)), 2 cores";
  assertEquals(machineLine(machineSeen(machine)).slice(0, line.length), line);
});
