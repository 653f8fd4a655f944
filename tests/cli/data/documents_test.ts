import { test } from "node:test";
import { assertEquals, assertRejects } from "@std/assert";
import { closeSync, openSync, writeFileSync } from "node:fs";
import process from "node:process";
import { join } from "@std/path";
import { readDocuments } from "../../../cli/data/documents.ts";
import { UsageError } from "../../../cli/failure.ts";
import { inDirectory } from "../../support/checkpoint.ts";
import { runChild } from "../../support/child.ts";

const NEVER = new AbortController().signal;

test("readDocuments() reads texts of files behind those that were given, and names a folder without any", async () => {
  await inDirectory(async (directory) => {
    const path = join(directory, "a.txt");
    writeFileSync(path, "two\nthree\n");
    const wanted = { inputs: [path], texts: ["one"], field: "text" };
    assertEquals((await readDocuments(wanted, NEVER)).map(({ text }) => text), ["one", "two", "three"]);
    writeFileSync(join(directory, "empty.bin"), "");
    const none = { inputs: [join(directory, "*.none")], texts: [], field: "text" };
    await assertRejects(() => readDocuments(none, NEVER), UsageError, "there is no such file");
  });
});

const noPipe = process.platform === "win32" ? "no named pipes" : false;

test("readDocuments() of a pipe that says nothing ends with its signal", { skip: noPipe }, async () => {
  await inDirectory(async (directory) => {
    const path = join(directory, "pipe.txt");
    await runChild("mkfifo", [path]);
    const writer = openSync(path, "r+");
    const stop = new AbortController();
    const reading = readDocuments({ inputs: [path], texts: [], field: "text" }, stop.signal);
    stop.abort(new Error("that is enough"));
    await assertRejects(() => reading, Error, "that is enough");
    closeSync(writer);
  });
});
