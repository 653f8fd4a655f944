// What embed says on a terminal: util-linux's `script` gives it one.
import { test } from "node:test";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import process from "node:process";
import { startOf } from "../../support/child.ts";
import { assertEnded, inPlace } from "../../support/embed_place.ts";
import { randomTexts } from "../../support/jobs.ts";
import { programOn, RUNTIME } from "../../support/program.ts";
import { libraryMissing } from "../../support/references.ts";

const { stdout: version } = spawnSync("script", ["--version"], { encoding: "utf8" });
const noTerminal = !/util-linux/.test(version ?? "") && "there is no `script` of util-linux";
const PROGRESS = /\r\[#*\.*\] [\d,]+ texts +\d+ % {2}[\d,]+ tokens\/s {2}[\d:]+ left/;
const COLOUR = "\x1b[33mwarning:\x1b[0m what was cut";

test("embed draws its progress and colours on a terminal alone; NO_COLOR and --quiet are kept there, too", {
  skip: libraryMissing || noTerminal,
}, async () => {
  await inPlace(async ({ embed, path }) => {
    writeFileSync(path("in.txt"), [...randomTexts(190, 1), ...Array(10).fill("long ".repeat(300))].join("\n"));
    const words = ["in.txt", "-o", "out.jsonl", "--checkpoint", "50", "--restart"];
    const onTerminal = (more: string, env: Record<string, string>): string => {
      const program = [...startOf(RUNTIME), ...programOn(RUNTIME).slice(1), "embed", ...words].join(" ");
      const { status, stdout, stderr } = spawnSync(
        "script",
        ["-qec", `stty cols 100; ${program} ${more}`, "/dev/null"],
        {
          cwd: path("."),
          encoding: "utf8",
          env: { ...process.env, LLAMASAUR_MODEL: "tiny.gguf", TERM: "xterm", NO_COLOR: "", ...env },
          stdio: ["ignore", "pipe", "pipe"],
          timeout: 60_000,
        },
      );
      assertEquals(status, 0, `${stdout}${stderr}`);
      return stdout;
    };
    const coloured = onTerminal("", {});
    assertMatch(coloured, PROGRESS);
    assert(coloured.includes(COLOUR), coloured);
    assert(/ \r200 texts, [\d,]+ tokens: out\.jsonl /.test(coloured), "the line of progress was taken away");
    const plain = onTerminal("", { NO_COLOR: "1" });
    assertMatch(plain, PROGRESS);
    assertMatch(plain, /\nwarning: what was cut/);
    assertEquals(plain.includes("\x1b"), false);
    assertEquals(onTerminal("--quiet", {}), "");
    const piped = await embed(words, { env: { NO_COLOR: "" } });
    assertEnded(piped, 0);
    assertMatch(piped.stderr, /\nwarning: what was cut/);
    assertEquals([piped.stderr.includes("\r"), piped.stderr.includes("\x1b")], [false, false]);
  });
});
