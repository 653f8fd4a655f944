import { test } from "node:test";
import { assertEquals, assertRejects } from "@std/assert";
import { writeFileSync } from "node:fs";
import process from "node:process";
import { join } from "@std/path";
import { Appended, exists, sizeOf, told } from "../../../cli/jobs/disk.ts";
import { Failure } from "../../../cli/failure.ts";
import { inDirectory } from "../../support/checkpoint.ts";
import { noFullDisk } from "../../support/program.ts";

const posix = process.platform !== "win32";

test("told() has words for what Deno knows no code of", { skip: !posix }, async () => {
  const large = () => Promise.reject(new Error("File too large (os error 27)")); // EFBIG, wherever there is POSIX
  await assertRejects(
    () => told("out.jsonl", large),
    Failure,
    "Cannot write out.jsonl: the file is larger than the system",
  );
});

test("Appended.append() says that the disk is full when the system does", { skip: noFullDisk }, async () => {
  const file = await Appended.open("/dev/full", 0);
  await assertRejects(() => file.append(new Uint8Array(10)), Failure, "Cannot write /dev/full: the disk is full");
  await file.close();
});

test("sizeOf() and exists() take nothing for a path where there is none, but not for one that is refused", async () => {
  await inDirectory(async (directory) => {
    const [file, none] = [join(directory, "file"), join(directory, "none")];
    writeFileSync(file, "four");
    assertEquals([await sizeOf(file), await sizeOf(none), await sizeOf(join(file, "below"))], [
      4,
      undefined,
      undefined,
    ]);
    assertEquals([await exists(file), await exists(none)], [true, false]);
    await assertRejects(() => sizeOf(join(directory, "x".repeat(300))), Failure, "Cannot look at ");
  });
});
