import { test } from "node:test";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { existsSync, readFileSync, renameSync, rmSync } from "node:fs";
import process from "node:process";
import { runChild } from "../../support/child.ts";
import { assertEnded, inPlace, parsed } from "../../support/embed_place.ts";
import { writeJsonl } from "../../support/jobs.ts";
import { noFullDisk, noSignals, programOn, RUNTIME } from "../../support/program.ts";
import { libraryMissing as skip } from "../../support/references.ts";

test("embed of a folder that has its own output reads none of it, also when it goes on", { skip }, async () => {
  await inPlace(async ({ embed, write, path }) => {
    write("in/a.txt", "one\ntwo\n");
    for (const format of ["jsonl", "parquet"]) {
      const words = ["in", "-o", `in/out.${format}`, "--checkpoint", "1", "--row-group", "1", "--part-rows", "1"];
      const stop = { faulty: true, env: { LLAMASAUR_TEST_POINT: "before closing:1:kill" } };
      await embed(words, stop);
      assert(existsSync(path(`in/out.${format}.part`)));
      const ended = await embed(words);
      assertEnded(ended, 0);
      assertStringIncludes(ended.stderr, "2 texts");
      assertEnded(await embed(words), 0);
      rmSync(path(`in/out.${format}`), { recursive: true });
      rmSync(path(`in/out.${format}.job`));
    }
  });
});

test("embed refuses an output that is an input; the shell's *.jsonl has it when the command is given again", {
  skip,
}, async () => {
  await inPlace(async ({ embed, write, path }) => {
    write("a.jsonl", '{"text":"one"}\n');
    for (const more of [[], ["--restart"]]) {
      for (const output of ["a.jsonl", "./a.jsonl"]) {
        const ended = await embed(["a.jsonl", "-o", output, ...more]);
        assertEnded(ended, 2);
        assertStringIncludes(ended.stderr, "Cannot read a.jsonl and write it");
      }
    }
    assertEquals(readFileSync(path("a.jsonl"), "utf8"), '{"text":"one"}\n');
    assertEnded(await embed(["a.jsonl", "-o", "out.jsonl"]), 0);
    const again = await embed(["a.jsonl", "out.jsonl", "-o", "out.jsonl"]);
    assertEnded(again, 0);
    assertStringIncludes(again.stderr, "out.jsonl is complete: 1 text;");
  });
});

test("embed of a job that has ended refuses inputs and an output that are no longer what they were", {
  skip,
}, async () => {
  await inPlace(async ({ embed, write, path }) => {
    for (const name of ["a", "b", "c"]) write(`in/${name}.txt`, `${name}\n`);
    for (
      const [output, more] of [["out.jsonl", []], ["out.parquet", ["--row-group", "1", "--part-rows", "1"]]] as const
    ) {
      const words = ["in", "-o", output, ...more];
      assertEnded(await embed(words), 0);
      const refused = async (told: string) => {
        const ended = await embed(words);
        assertEnded(ended, 1);
        for (const one of [told, "--restart"]) assertStringIncludes(ended.stderr, one);
      };
      write("in/d.txt", "new\n");
      await refused("its number of inputs was 3, and is 4, with in/d.txt now");
      rmSync(path("in/d.txt"));
      renameSync(path("in/a.txt"), path("in/aa.txt"));
      await refused("its input was in/a.txt, and is gone now");
      renameSync(path("in/aa.txt"), path("in/a.txt"));
      renameSync(path(output), path("elsewhere"));
      await refused("which is gone");
      if (output === "out.jsonl") {
        write(output, "mine\n");
        await refused("which has 5 bytes now");
      }
      rmSync(path(output), { force: true });
      renameSync(path("elsewhere"), path(output));
      assertStringIncludes((await embed(words)).stderr, "is complete: 3 texts");
    }
  });
});

test("embed that lost its last file before the rename says so", { skip }, async () => {
  await inPlace(async ({ embed, write, path }) => {
    write("a.txt", "one\n");
    const stop = { faulty: true, env: { LLAMASAUR_TEST_POINT: "before rename:1:kill" } };
    await embed(["a.txt", "-o", "out.jsonl"], stop);
    rmSync(path("out.jsonl.part"));
    const ended = await embed(["a.txt", "-o", "out.jsonl"]);
    assertEnded(ended, 1);
    assertMatch(ended.stderr, /its job has ended with \d+ bytes in out\.jsonl, which is gone; --restart makes it anew/);
  });
});

const noPipe = skip || (process.platform === "win32" ? "no named pipes" : false);

test("embed reads a pipe that has a path, and says that it cannot be read twice", { skip: noPipe }, async () => {
  await inPlace(async ({ embed, path }) => {
    const fill = async () => {
      const command = "rm -f pipe && mkfifo pipe && (printf 'one\\ntwo\\n' > pipe) > /dev/null 2>&1 &";
      await runChild("/bin/sh", ["-c", command], { cwd: path(".") });
      while (!existsSync(path("pipe"))) await new Promise((resolve) => setTimeout(resolve, 5));
    };
    await fill();
    const ended = await embed(["pipe", "--input-format", "txt"]);
    assertEnded(ended, 0);
    assertEquals(parsed(ended.stdout).map(({ id }) => id), ["pipe:1", "pipe:2"]);
    await fill();
    const job = await embed(["pipe", "--input-format", "txt", "-o", "out.jsonl"]);
    assertEnded(job, 0);
    assertStringIncludes(job.stderr, "pipe cannot be read twice: if this is stopped, it begins anew");
  });
});

test("embed keeps no --text in its job, and tells of none when it is another", { skip }, async () => {
  await inPlace(async ({ embed, path }) => {
    assertEnded(await embed(["--text", "my secret", "-o", "out.jsonl"]), 0);
    const ended = await embed(["--text", "another secret", "-o", "out.jsonl"]);
    assertEnded(ended, 1);
    assertMatch(ended.stderr, /its --text was "1 of sha256 \w{64}", and is "1 of sha256 \w{64}" now/);
    assert(!`${ended.stderr}${readFileSync(path("out.jsonl.job"), "utf8")}`.includes("secret"));
  });
});

test("embed that cannot write to stdout says so", {
  skip: skip || noFullDisk,
}, async () => {
  await inPlace(async ({ path }) => {
    const words = [...programOn(RUNTIME), "embed", "--text", "a", "--model", "tiny.gguf"].join(" ");
    const { code, stderr } = await runChild("/bin/sh", ["-c", `${words} > /dev/full`], { cwd: path(".") });
    assertEquals(code, 1);
    assertMatch(stderr, /Cannot write to stdout: .*no space left on device/i);
  });
});

test("embed of stdin that was stopped prints the command that begins anew", { skip: skip || noSignals }, async () => {
  await inPlace(async ({ embed, path }) => {
    const ended = await embed(["-", "-o", "out.jsonl", "--checkpoint", "1"], {
      stdin: "open",
      stdinBegin: "one\ntwo\nthree\n",
      onStart: (kill) => {
        const timer = setInterval(() => {
          const journal = existsSync(path("out.jsonl.job")) ? readFileSync(path("out.jsonl.job"), "utf8") : "";
          if (!journal.includes("checkpoint")) return;
          clearInterval(timer);
          kill("SIGINT");
        }, 20);
      },
    });
    assertEnded(ended, 130);
    assertMatch(ended.stderr, /To begin anew:\n\n {2}.* embed - -o out\.jsonl --checkpoint 1 --restart\n/);
  });
});

test("embed tells of a wrong use that the inputs show before it looks for the model", { skip }, async () => {
  await inPlace(async ({ embed, path }) => {
    writeJsonl(path("in.jsonl"), 3, 1);
    for (
      const [words, told] of [
        [["--keep", "tokens"], 'Cannot keep "tokens"'],
        [["--keep", "fingerprint"], 'Cannot keep "fingerprint"'],
        [["--keep", "all,n"], 'Cannot take --keep all and "n"'],
        [["-o", "-"], "leave -o out"],
      ] as const
    ) {
      const ended = await embed(["in.jsonl", "--model", "none.gguf", ...words]);
      assertEnded(ended, 2);
      assertStringIncludes(ended.stderr, told);
    }
    assertEnded(await embed(["in.jsonl", "-o", "out/", "--format", "parquet"]), 0);
    assert(existsSync(path("out")) && existsSync(path("out.job")));
    const { stdout } = await embed(["in.jsonl", "--keep", "n,name,n"]);
    assertEquals(stdout.match(/"n":0/g)?.length, 1);
  });
});
