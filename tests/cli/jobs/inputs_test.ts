import { test } from "node:test";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import process from "node:process";
import { gzipSync } from "node:zlib";
import { join } from "@std/path";
import { parquetReadObjects } from "hyparquet";
import { parquetWriteBuffer } from "hyparquet-writer";
import { findInputs } from "../../../cli/data/inputs.ts";
import { Source } from "../../../cli/data/source.ts";
import { readJournal } from "../../../cli/jobs/journal.ts";
import { inDirectory } from "../../support/checkpoint.ts";
import { runChild } from "../../support/child.ts";
import { assertEnded, inPlace, parsed } from "../../support/embed_place.ts";
import { failAt, groupsOf, writeJsonl } from "../../support/jobs.ts";
import { noFullDisk, noSignals, programOn, RUNTIME } from "../../support/program.ts";
import { libraryMissing as skip } from "../../support/references.ts";

test("embed of a folder that has its own output reads none of it, also when it goes on", { skip }, async () => {
  await inPlace(async ({ embedHere, write, path }) => {
    write("in/a.txt", "one\ntwo\n");
    for (const format of ["jsonl", "parquet"] as const) {
      const words = ["in", "-o", `in/out.${format}`, ...groupsOf(format, 1, 1)];
      failAt("before closing", 1);
      await embedHere(words);
      assert(existsSync(path(`in/out.${format}.part`)));
      const ended = await embedHere(words);
      assertEnded(ended, 0);
      assertStringIncludes(ended.stderr, "2 texts");
      assertEnded(await embedHere(words), 0);
      rmSync(path(`in/out.${format}`), { recursive: true });
      rmSync(path(`in/out.${format}.job`));
    }
  });
});

test("embed of a folder reads no lock that a killed process left there", { skip }, async () => {
  await inPlace(async ({ embed, embedHere, write, path, lines }) => {
    write("in/a.txt", "one\ntwo\n");
    // Without a journal, and with one.
    for (const [point, given] of [["before header", "in"], ["before output", "in/*"]] as const) {
      const words = [given, "-o", "in/out.jsonl", "--input-format", "txt"];
      await embed(words, { faulty: true, env: { LLAMASAUR_TEST_POINT: `${point}:1:kill` } });
      assert(existsSync(path("in/out.jsonl.lock")));
      write("in/out.jsonl.lock.1234", "left between two steps of its taking");
      assertEnded(await embedHere(words), 0);
      assertEquals(lines("in/out.jsonl").map(({ id }) => id), ["in/a.txt:1", "in/a.txt:2"]);
      for (const name of [".lock.1234", "", ".job"]) rmSync(path(`in/out.jsonl${name}`));
    }
    write("b.txt.lock.1234", "x"); // as a shell's glob gives it
    assertEnded(
      await embedHere(["in/a.txt", "b.txt.lock.1234", "-o", "b.txt", "--format", "jsonl", "--input-format", "txt"]),
      0,
    );
  });
});

for (const name of ["in.txt", "in.csv", "in.txt.gz", "in.csv.gz"]) {
  test(`embed that goes on in ${name} tells how much of it is read again`, { skip }, async () => {
    await inPlace(async ({ embedHere, write, lines, path }) => {
      const text = `text\n${"a long line of some text\n".repeat(99)}`;
      write(`folder/${name}`, name.endsWith(".gz") ? gzipSync(text) : text);
      write("folder/a.txt", "before\n");
      const words = ["folder", "-o", "out.jsonl", "--checkpoint", "10"];
      failAt("before output", 6);
      assertEnded(await embedHere(words), 1);
      const { last } = (await readJournal(path("out.jsonl")))!;
      const ended = await embedHere(words);
      assertEnded(ended, 0);
      const bytes = last!.position!.offset + "before\n".length;
      assertMatch(ended.stderr, /^reading again what was read: 1\.\d kB\ngoing on after 50 texts\n/);
      assertStringIncludes(ended.stderr, `: ${(bytes / 1000).toFixed(1)} kB\n`);
      assertEquals(lines("out.jsonl").length, name.includes("csv") ? 100 : 101);
    });
  });
}

test("Source tells of each byte before its place once, as it reads them again", async () => {
  await inDirectory(async (directory) => {
    const reading = { field: "text", id: undefined, keep: [] };
    for (const name of ["in.txt", "in.csv", "in.txt.gz"]) {
      const text = `text\n${"a long line of some text\n".repeat(20_000)}`;
      writeFileSync(join(directory, name), name.endsWith(".gz") ? gzipSync(text) : text);
      const inputs = await findInputs([join(directory, name)], undefined);
      const first = new Source(inputs, reading);
      const { position } = await first.take(15_000);
      await first.close();
      const told: number[] = [];
      const again = new Source(inputs, reading, position, undefined, (count) => void told.push(count));
      await again.take(1);
      assert(told.length > 3, "in steps"); // for who waits for 100 GB
      assertEquals(told.reduce((sum, count) => sum + count, 0), position!.offset);
      await again.close();
    }
  });
});

test(
  "embed of a CSV file that was cut within CRLF and grew gives the bytes of an undisturbed job",
  { skip },
  async () => {
    await inPlace(async ({ embedHere, write, path }) => {
      for (const [i, begin] of ["text,k\r\nalpha,1\r\nbeta,2\r", 'k,text\r\n1,"alpha"\r\n2,"beta"\r'].entries()) {
        const words = ["in.csv", "--keep", "k", "--on-error", "skip", "-o"];
        const output = `${i}.jsonl`;
        write("in.csv", begin);
        failAt("before closing", 1);
        assertEnded(await embedHere([...words, output]), 1);
        write("in.csv", `${begin}\ngamma,3\r\n`);
        assertEnded(await embedHere([...words, output]), 0);
        assertEnded(await embedHere([...words, "fresh.jsonl", "--restart"]), 0);
        const [grown, fresh] = [output, "fresh.jsonl"].map((name) => readFileSync(path(name), "utf8"));
        assertEquals(parsed(grown!).map(({ k }) => k), i === 0 ? ["1", "2", "3"] : ["1", "2", "gamma"]);
        assertEquals(grown, fresh);
      }
    });
  },
);

test("embed of an empty CSV file is wrong use, before the model is loaded", { skip }, async () => {
  await inPlace(async ({ embedHere, write }) => {
    for (const content of ["", "\ufeff", "\r\n"]) {
      write("in.csv", content);
      const ended = await embedHere(["in.csv", "-o", "out.jsonl", "--model", "none.gguf"]);
      assertEnded(ended, 2);
      assertStringIncludes(ended.stderr, "Cannot read in.csv: it is empty, and the first line of CSV names its fields");
    }
  });
});

test(
  "embed looks at the head of every file before the model is loaded, also of those behind the first",
  { skip },
  async () => {
    await inPlace(async ({ embedHere, write, path }) => {
      write("in/a.csv", "text,n\none,1\n");
      write("in/b.jsonl", '{"n":1}\n'); // that is a row's
      const [c, d] = [["c.csv", "text;n\none;1\n"], ["d.parquet", written({ body: ["one"] })]] as const;
      for (const [name, content] of [c, d]) {
        write(`in/${name}`, content);
        for (const output of [[], ["-o", "out.jsonl"]]) {
          const words = ["in", "--on-error", "skip", "--model", "none.gguf", ...output];
          const ended = await embedHere(words);
          assertEnded(ended, 2); // 3 if a model was looked for
          assertMatch(
            ended.stderr,
            /Cannot read in\/(c\.csv|d\.parquet): (its first line has no field|it has no column) "text"/,
          );
        }
        rmSync(path(`in/${name}`));
      }
    });
  },
);

test(
  "embed of Parquet and JSONL together takes whole numbers of both, and what does not fit is a misfit",
  { skip },
  async () => {
    await inPlace(async ({ embedHere, write, lines, path }) => {
      const n = [1n, 2n ** 60n + 1n];
      write("a.parquet", written({ text: ["one", "two"], n, m: n }));
      const rows = ["3", "9007199254740993", "1e3", "0.5", '"4"', "9223372036854775808", "-0"];
      write("b.jsonl", rows.map((value, i) => `{"text":"${i}","n":${value},"m":${i}}\n`).join(""));
      const words = ["a.parquet", "b.jsonl", "--id", "n", "--keep", "m", "--on-error", "skip"];
      const fits = ["1", "1152921504606846977", "3", "9007199254740993", "1000"];
      assertEnded(await embedHere([...words, "-o", "out.parquet"]), 4);
      const found = await parquetReadObjects({ file: readFileSync(path("out.parquet")).buffer as ArrayBuffer });
      assertEquals(found.map(({ id }) => String(id)), fits);
      assertEquals(found.map(({ m }) => m), [...n, 0n, 1n, 2n]);
      assertEquals(
        lines("out.parquet.errors.jsonl").map(({ code, line }) => [code, line]),
        [4, 5, 6, 7].map((line) => ["misfit", line]),
      );
      // A line of JSON has no types that its rows must fit.
      assertEnded(await embedHere([...words, "-o", "out.jsonl"]), 0);
      const ids = readFileSync(path("out.jsonl"), "utf8").matchAll(/^\{"id":([^,]+),/gm);
      assertEquals([...ids].map(([, id]) => id), [...fits, "0.5", '"4"', "9223372036854775808", "0"]);
    });
  },
);

/** A Parquet file of these columns. */
function written(columns: Readonly<Record<string, readonly unknown[]>>): Uint8Array {
  const columnData = Object.entries(columns).map(([name, data]) => ({ name, data: [...data] }));
  return new Uint8Array(parquetWriteBuffer({ columnData }));
}

test("embed refuses an output that is an input; the shell's *.jsonl has it when the command is given again", {
  skip,
}, async () => {
  await inPlace(async ({ embedHere, write, path }) => {
    write("a.jsonl", '{"text":"one"}\n');
    for (const more of [[], ["--restart"]]) {
      for (const output of ["a.jsonl", "./a.jsonl"]) {
        const ended = await embedHere(["a.jsonl", "-o", output, ...more]);
        assertEnded(ended, 2);
        assertStringIncludes(ended.stderr, "Cannot read a.jsonl and write it");
      }
    }
    assertEquals(readFileSync(path("a.jsonl"), "utf8"), '{"text":"one"}\n');
    assertEnded(await embedHere(["a.jsonl", "-o", "out.jsonl"]), 0);
    const again = await embedHere(["a.jsonl", "out.jsonl", "-o", "out.jsonl"]);
    assertEnded(again, 0);
    assertStringIncludes(again.stderr, "out.jsonl is complete: 1 text;");
  });
});

test("embed of a job that has ended refuses inputs and an output that are no longer what they were", {
  skip,
}, async () => {
  await inPlace(async ({ embedHere, write, path }) => {
    for (const name of ["a", "b", "c"]) write(`in/${name}.txt`, `${name}\n`);
    for (
      const [output, more] of [["out.jsonl", []], ["out.parquet", ["--row-group", "1", "--part-rows", "1"]]] as const
    ) {
      const words = ["in", "-o", output, ...more];
      assertEnded(await embedHere(words), 0);
      const refused = async (told: string) => {
        const ended = await embedHere(words);
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
      assertStringIncludes((await embedHere(words)).stderr, "is complete: 3 texts");
    }
  });
});

test("embed that lost its last file before the rename says so", { skip }, async () => {
  await inPlace(async ({ embedHere, write, path }) => {
    write("a.txt", "one\n");
    failAt("before rename", 1);
    await embedHere(["a.txt", "-o", "out.jsonl"]);
    rmSync(path("out.jsonl.part"));
    const ended = await embedHere(["a.txt", "-o", "out.jsonl"]);
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
    // Its head can be looked at once only: when work was done, what is wrong with it is a failure.
    writeFileSync(path("a.csv"), "one,text\n1,one\n");
    await fill();
    const wrong = await embed(["a.csv", "pipe", "--input-format", "csv", "--checkpoint", "1"]);
    assertEnded(wrong, 1);
    assertStringIncludes(wrong.stderr, 'Cannot read pipe: its first line has no field "text"');
  });
});

test("embed keeps no --text in its job, and tells of none when it is another", { skip }, async () => {
  await inPlace(async ({ embedHere, path }) => {
    assertEnded(await embedHere(["--text", "my secret", "-o", "out.jsonl"]), 0);
    const ended = await embedHere(["--text", "another secret", "-o", "out.jsonl"]);
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
  await inPlace(async ({ embedHere, path }) => {
    writeJsonl(path("in.jsonl"), 3, 1);
    for (
      const [words, told] of [
        [["--keep", "tokens"], 'Cannot keep "tokens"'],
        [["--keep", "fingerprint"], 'Cannot keep "fingerprint"'],
        [["--keep", "all,n"], 'Cannot take --keep all and "n"'],
        [["-o", "-"], "leave -o out"],
      ] as const
    ) {
      const ended = await embedHere(["in.jsonl", "--model", "none.gguf", ...words]);
      assertEnded(ended, 2);
      assertStringIncludes(ended.stderr, told);
    }
    assertEnded(await embedHere(["in.jsonl", "-o", "out/", "--format", "parquet"]), 0);
    assert(existsSync(path("out")) && existsSync(path("out.job")));
    const { stdout } = await embedHere(["in.jsonl", "--keep", "n,name,n"]);
    assertEquals(stdout.match(/"n":0/g)?.length, 1);
  });
});
