// The library for Linux x64 on processors that lack what it needs, by qemu: it says so, and does not end the process.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { PLATFORMS } from "../../packages/platforms.ts";
import { findProgram } from "../support/child.ts";
import { lackingOf, libraryOf, skipWithout } from "../support/dist.ts";

const PACKAGE = PLATFORMS.find(({ name }) => name === "linux-x64-gnu")!;
const LIBRARY = libraryOf(PACKAGE);
const QEMU = findProgram("qemu-x86_64-static");

const PROBE = `
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
int main(int count, char ** arguments) {
    void * library = dlopen(arguments[1], RTLD_NOW);
    int32_t (*missing)(char *, int32_t, int32_t) = library ? dlsym(library, "saur_cpu_missing") : 0;
    char names[512] = "the library does not open";
    if (missing) missing(names, sizeof(names), 0);
    puts(names);
    return count < 2 || !missing;
}
`;

const MISSING: readonly (readonly [cpu: string, names: string])[] = [
  ["Nehalem", "AVX, AVX2, FMA, F16C, BMI2"],
  ["SandyBridge", "AVX2, FMA, F16C, BMI2"],
  ["Haswell", ""],
  ["max", ""],
];

test("the library for linux-x64-gnu names what an old processor lacks, and ends by no signal", {
  skip: skipWithout(PACKAGE) || (QEMU ? false : "it needs qemu-user-static"),
}, () => {
  assertEquals(lackingOf(PACKAGE), undefined);
  const directory = mkdtempSync(join(tmpdir(), "llamasaur-"));
  try {
    const [source, probe] = [join(directory, "probe.c"), join(directory, "probe")];
    writeFileSync(source, PROBE);
    execFileSync("cc", ["-o", probe, source, "-ldl"]);
    const told = MISSING.map((
      [cpu],
    ) => [cpu, execFileSync(QEMU!, ["-cpu", cpu, probe, LIBRARY], { stdio: "pipe" }).toString().trim()]);
    assertEquals(told, MISSING.map(([cpu, names]) => [cpu, names]));
  } finally {
    rmSync(directory, { recursive: true });
  }
});
