import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { assertEquals, assertRejects } from "@std/assert";
import { getFolder } from "../../packages/fetch.ts";
import { inDirectory } from "../support/checkpoint.ts";

test("getFolder() makes a folder once, whole or not at all", async () => {
  await inDirectory(async (directory) => {
    const folder = join(directory, "cache", "thing");
    const failing = (temporary: string): Promise<void> => {
      writeFileSync(join(temporary, "half"), "");
      return Promise.reject(new Error("no network"));
    };
    await assertRejects(() => getFolder(folder, failing), Error, "no network");
    assertEquals(readdirSync(join(directory, "cache")), []);

    const inside = (temporary: string): Promise<string> => {
      mkdirSync(join(temporary, "kept"));
      writeFileSync(join(temporary, "kept", "file"), "1");
      return Promise.resolve(join(temporary, "kept"));
    };
    await getFolder(folder, inside);
    assertEquals([readdirSync(join(directory, "cache")), readdirSync(folder)], [["thing"], ["file"]]);
    await getFolder(folder, failing); // it is there: nothing is made
  });
});

test("getFolder() leaves the folder of a process that was faster", async () => {
  await inDirectory(async (directory) => {
    const folder = join(directory, "thing");
    await getFolder(folder, (temporary) => {
      writeFileSync(join(temporary, "file"), "slow");
      mkdirSync(folder);
      writeFileSync(join(folder, "file"), "fast");
      return Promise.resolve();
    });
    assertEquals(readFileSync(join(folder, "file"), "utf8"), "fast");
    assertEquals(existsSync(join(folder, "thing")), false);
    assertEquals(readdirSync(directory), ["thing"]);
  });
});
