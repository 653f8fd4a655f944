import { test } from "node:test";
import { assertEquals, assertRejects } from "@std/assert";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "@std/path";
import { findInputs, liesIn, withSlashes } from "../../../cli/data/inputs.ts";
import { UsageError } from "../../../cli/failure.ts";
import { inDirectory } from "../../support/checkpoint.ts";
import { canLink } from "../../support/lend.ts";

test("findInputs() has each file once, whatever it is called", async () => {
  await inDirectory(async (directory) => {
    const path = (name: string) => join(directory, name);
    mkdirSync(path("in"));
    for (const name of ["in/b.txt", "in/a.txt", "in/c.bin"]) writeFileSync(path(name), "");
    const [a, b] = [withSlashes(path("in/a.txt")), withSlashes(path("in/b.txt"))];
    const found = await findInputs([a, `${directory}/in/./a.txt`, path("in"), path("in/*.txt"), "-", "-"], undefined);
    assertEquals(found.map(({ path }) => path), ["-", a, b]);
    assertEquals(
      (await findInputs([path("in")], undefined, (one) => one.endsWith("in/b.txt"))).map(({ path }) => path),
      [a],
    );
    await assertRejects(() => findInputs([path("in/*.md")], undefined), UsageError, "there is no such file");
    await assertRejects(() => findInputs([path("in/*.bin")], undefined), UsageError, "with a suffix of .txt");
  });
});

test("findInputs() of a folder passes over a link that leads nowhere", { skip: !canLink }, async () => {
  await inDirectory(async (directory) => {
    writeFileSync(join(directory, "a.txt"), "");
    symlinkSync("nowhere.txt", join(directory, "b.txt"));
    assertEquals((await findInputs([directory], undefined)).length, 1);
  });
});

test("findInputs() of a folder follows links to files, and none to folders, which may go in a circle", {
  skip: !canLink,
}, async () => {
  await inDirectory(async (directory) => {
    const path = (name: string) => join(directory, name);
    for (const folder of ["in", "in/sub", "other"]) mkdirSync(path(folder));
    for (const file of ["in/sub/a.txt", "other/b.txt"]) writeFileSync(path(file), "");
    symlinkSync(path("other/b.txt"), path("in/linked.txt"));
    symlinkSync(path("other"), path("in/folder"));
    symlinkSync(path("in"), path("in/sub/circle"));
    const found = await findInputs([path("in")], undefined);
    assertEquals(
      found.map(({ path }) => path),
      [path("in/linked.txt"), path("in/sub/a.txt")].map((one) => withSlashes(one)),
    );
  });
});

test("withSlashes() has Windows' backslashes as slashes, and leaves others alone", () => {
  assertEquals(withSlashes("C:\\texts\\*.txt", "win32"), "C:/texts/*.txt");
  assertEquals(withSlashes("a\\*.txt", "linux"), "a\\*.txt");
});

test("liesIn() knows a place and what is below it", () => {
  assertEquals(["a/b", "./a/b/c", "a/bc", "-"].map((path) => liesIn(path, ["a/b", "-"])), [true, true, false, false]);
});

test("findInputs() knows no suffix that is a word of every object", async () => {
  await inDirectory(async (directory) => {
    writeFileSync(join(directory, "a.constructor"), "a\n");
    await assertRejects(() => findInputs([join(directory, "a.constructor")], undefined), UsageError, "suffix");
    assertEquals(await findInputs([directory], undefined).catch(() => []), []);
  });
});
