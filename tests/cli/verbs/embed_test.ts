import { test } from "node:test";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Buffer } from "node:buffer";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import process from "node:process";
import { gzipSync } from "node:zlib";
import { parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { parquetWriteBuffer } from "hyparquet-writer";
import { VERSION } from "../../../cli/version.ts";
import { LLAMA_VERSION } from "../../../ffi/version.ts";
import { Llama } from "../../../mod.ts";
import { assertEnded, inPlace, parsed } from "../../support/embed_place.ts";
import { writeJsonl } from "../../support/jobs.ts";
import { noFullDisk, wasKilled } from "../../support/program.ts";
import { libraryMissing as skip } from "../../support/references.ts";

async function parquet(path: string): Promise<{ rows: Record<string, unknown>[]; metadata: Record<string, string> }> {
  const bytes = new Uint8Array(readFileSync(path));
  const file = bytes.buffer as ArrayBuffer;
  const { key_value_metadata = [] } = await parquetMetadataAsync(file);
  const metadata = Object.fromEntries(key_value_metadata.map(({ key, value }) => [key, value!]));
  return { rows: await parquetReadObjects({ file }), metadata };
}

test("embed --text prints a line of JSON a text, with the vectors that the library gives", { skip }, async () => {
  await inPlace(async ({ embed, path }) => {
    const ended = await embed(["--text", "a cat", "--text", "the dog", "--json"]);
    assertEnded(ended, 0);
    assertEquals(ended.stderr, "");
    await using llama = await Llama.load(path("tiny.gguf"));
    const vectors = await llama.embed(["a cat", "the dog"]);
    const { fingerprint } = llama.info;
    const lines = parsed(ended.stdout);
    assertEquals(lines.map(({ embedding }) => new Float32Array(embedding)), vectors);
    assertEquals(lines.map(({ embedding: _, ...line }) => line), [
      { id: "text:1", tokens: lines[0]!["tokens"], truncated: false, fingerprint },
      { id: "text:2", tokens: lines[1]!["tokens"], truncated: false, fingerprint },
    ]);
  });
});

test("embed reads lines, files, JSONL, CSV, gzip, folders, globs and stdin; ids are FILE:LINE", { skip }, async () => {
  await inPlace(async ({ embed, embedHere, write }) => {
    write("in/a.txt", "\ufeffone\r\n\r\nthree");
    write("in/b.md", "# a title\n\na text\n");
    write("in/c.jsonl", '{"text":"one"}\n\n{"text":"three"}\n');
    write("in/d.csv", '\ufeffn,text\n1,one\n2,"two\nlines"\n3,four\n');
    write("in/e.txt.gz", gzipSync("packed\nlines\n"));
    write("in/f.bin", "no text");
    const ids = ["a.txt:1", "a.txt:2", "a.txt:3", "b.md", "c.jsonl:1", "c.jsonl:3", "d.csv:2", "d.csv:3", "d.csv:5"];
    const all = [...ids, "e.txt.gz:1", "e.txt.gz:2"].map((id) => `in/${id}`);
    for (const given of ["in", "in/*.*"]) {
      const ended = await embedHere([given]);
      assertEnded(ended, 0);
      assertEquals(parsed(ended.stdout).map(({ id }) => id), all);
    }
    const ended = await embed(["-"], { stdin: "one\ntwo\n" });
    assertEquals(parsed(ended.stdout).map(({ id }) => id), ["-:1", "-:2"]);
    const [one] = parsed((await embedHere(["--text", "one"])).stdout);
    assertEquals(parsed(ended.stdout)[0]!.embedding, one!.embedding);
    assertEquals(parsed((await embedHere(["in/a.txt"])).stdout)[0]!.embedding, one!.embedding);
  });
});

test(
  "embed keeps fields and ids as they are, in JSONL and in Parquet, with types of the first rows",
  { skip },
  async () => {
    await inPlace(async ({ embedHere, write, lines, path }) => {
      const rows = [
        { key: 12345678901234, text: "one", n: 1, x: 0.5, b: true, s: "ä", j: { a: [1] }, m: 1 },
        { key: "9007199254740993", text: "two", n: "9007199254740993", x: 2, b: null, s: "", j: 2, m: "text" },
      ];
      write("in.jsonl", rows.map((row) => JSON.stringify(row).replaceAll(/"(\d{16})"/g, "$1")).join("\n"));
      const words = ["in.jsonl", "--id", "key", "--keep", "n,x,b,s,j,m"];
      assertEnded(await embedHere([...words, "-o", "out.jsonl"]), 0);
      const text = readFileSync(path("out.jsonl"), "utf8");
      assertMatch(
        text.split("\n")[1]!,
        /^\{"id":9007199254740993,"n":9007199254740993,"x":2,"b":null,"s":"","j":2,"m":"text",/,
      );
      assertEquals(lines("out.jsonl")[0]!["j"], { a: [1] });
      assertEnded(await embedHere([...words, "-o", "out.parquet"]), 0);
      const found = await parquet(path("out.parquet"));
      const kept = found.rows.map(({ embedding: _, tokens: __, truncated: ___, ...row }) => row);
      assertEquals(kept, [
        { id: 12345678901234n, n: 1n, x: 0.5, b: true, s: "ä", j: { a: [1] }, m: 1 },
        { id: 9007199254740993n, n: 9007199254740993n, x: 2, b: null, s: "", j: 2, m: "text" },
      ]);
      assertEquals(
        found.rows.map(({ embedding }) => embedding),
        lines("out.jsonl").map(({ embedding }) => [...new Float32Array(embedding)]),
      );
      const versions = JSON.parse(found.metadata["llamasaur.versions"]!);
      assertEquals(versions, { llamasaur: VERSION, "llama.cpp": LLAMA_VERSION });
      const { "llamasaur.fingerprint": fingerprint, "llamasaur.dimensions": dimensions, "llamasaur.model": model } =
        found.metadata;
      assertEquals([fingerprint, dimensions, model], [lines("out.jsonl")[0]!["fingerprint"], "64", "tiny.gguf"]);
      for (const keep of ["tokens", "embedding", "all"]) {
        write("taken.jsonl", '{"text":"one","tokens":1,"embedding":2}\n');
        const ended = await embedHere(["taken.jsonl", "--keep", keep, "-o", "taken.parquet"]);
        assertEnded(ended, 2);
        assertMatch(ended.stderr, /Cannot keep "(tokens|embedding)": the output has a column of its own by that name/);
        assertStringIncludes(ended.stderr, "; name the other fields in --keep\n");
      }
      write("ids.jsonl", '{"text":"one","id":1}\n');
      const ids = await embedHere(["ids.jsonl", "--keep", "all"]);
      assertEnded(ids, 2);
      assertStringIncludes(
        ids.stderr,
        'Cannot keep "id": the output has a column of its own by that name; take it for the ids with --id id\n',
      );
    });
  },
);

test("embed --keep tells of a name that no row has", { skip }, async () => {
  await inPlace(async ({ embedHere, write, lines }) => {
    write("in.jsonl", '{"text":"one","n":1}\n{"text":"two"}\n');
    const { stderr } = await embedHere(["in.jsonl", "--keep", "m,n", "-o", "out.jsonl"]);
    assertStringIncludes(stderr, 'warning: --keep: none of the first 2 rows has a field "m"\n');
    assertEquals(lines("out.jsonl").map(({ n }) => n), [1, undefined]);
  });
});

test("embed reads Parquet and keeps the types of its schema, times to the last digit", { skip }, async () => {
  await inPlace(async ({ embedHere, write, lines, path }) => {
    const time = 1_700_000_000_123_456n;
    const schema = [
      { name: "root", num_children: 5 },
      { name: "text", type: "BYTE_ARRAY", converted_type: "UTF8", repetition_type: "OPTIONAL" },
      { name: "key", type: "INT64", repetition_type: "REQUIRED" },
      {
        name: "at",
        type: "INT64",
        repetition_type: "OPTIONAL",
        logical_type: { type: "TIMESTAMP", isAdjustedToUTC: true, unit: "MICROS" },
      },
      { name: "day", type: "INT32", converted_type: "DATE", repetition_type: "OPTIONAL" },
      { name: "f", type: "FLOAT", repetition_type: "OPTIONAL" },
    ] as Parameters<typeof parquetWriteBuffer>[0]["schema"];
    write(
      "in.parquet",
      new Uint8Array(parquetWriteBuffer({
        columnData: [
          { name: "text", data: ["one", "two", "three"] },
          { name: "key", data: [1n, 2n, 2n ** 60n + 1n] },
          { name: "at", data: [time, null, 0n] },
          { name: "day", data: [19_000, null, 0] },
          { name: "f", data: [0.5, null, 0.1] },
        ],
        schema: schema!,
        rowGroupSize: 2,
      })),
    );
    const words = ["in.parquet", "--id", "key", "--keep", "all"];
    assertEnded(await embedHere([...words, "-o", "out.parquet"]), 0);
    const { rows } = await parquet(path("out.parquet"));
    assertEquals(rows.map(({ id, text, f, at, day }) => ({ id, text, f, at, day })), [
      { id: 1n, text: "one", f: 0.5, at: new Date(Number(time / 1000n)), day: new Date(19_000 * 86_400_000) },
      { id: 2n, text: "two", f: null, at: null, day: null },
      { id: 2n ** 60n + 1n, text: "three", f: Math.fround(0.1), at: new Date(0), day: new Date(0) },
    ]);
    assertEnded(await embedHere([...words, "-o", "out.jsonl"]), 0);
    assertEquals(lines("out.jsonl")[0]!["at"], "2023-11-14T22:13:20.123456Z");
    assertEquals(lines("out.jsonl")[0]!["day"], "2022-01-08");
    const ended = await embedHere(["in.parquet", "--field", "body"]);
    assertEnded(ended, 2);
    assertStringIncludes(ended.stderr, 'in.parquet: it has no column "body", only "text", "key", "at", "day", "f"');
  });
});

test(
  "embed --encoding base64 writes the bytes of the numbers, --dimensions and --no-normalize change them",
  { skip },
  async () => {
    await inPlace(async ({ embedHere }) => {
      const numbers = parsed((await embedHere(["--text", "one"])).stdout)[0]!.embedding;
      const [line] = parsed((await embedHere(["--text", "one", "--encoding", "base64"])).stdout);
      const bytes = Buffer.from(line!.embedding as unknown as string, "base64");
      assertEquals([...new Float32Array(new Uint8Array(bytes).buffer)], [...new Float32Array(numbers)]);
      const [short] = parsed((await embedHere(["--text", "one", "--dimensions", "8", "--no-normalize"])).stdout);
      assertEquals(short!.embedding.length, 8);
      const ended = await embedHere(["--text", "one", "--dimensions", "4000"]);
      assertEnded(ended, 2);
      assertStringIncludes(ended.stderr, "dimensions");
    });
  },
);

const BAD: readonly [line: string, code: string, message: string][] = [
  ["{", "malformed", "is no JSON"],
  ["[1]", "malformed", "is no JSON object"],
  ['{"n":1}', "missing-field", 'has no field "text"'],
  ['{"text":7,"n":2}', "not-text", 'has no text in "text" but the number 7'],
  ['{"text":"\\ud800"}', "lone-surrogate", 'has a lone surrogate in "text"'],
  ['{"text":"\xff"}', "not-utf8", "is not UTF-8"],
  [`{"text":"${"long ".repeat(300)}"}`, "too-long", "tokens, and the model takes"],
];

test(
  "embed stops at a bad row and names its file and line, or skips it with a line in OUT.errors.jsonl",
  { skip },
  async () => {
    await inPlace(async ({ embed, embedHere, write, lines, path }) => {
      write(
        "in.jsonl",
        Buffer.from(['{"text":"one"}', ...BAD.map(([line]) => line), '{"text":"last"}'].join("\n"), "latin1"),
      );
      for (const [i, [line, , message]] of BAD.entries()) {
        write("bad.jsonl", Buffer.from(`{"text":"one"}\n${line}\n`, "latin1"));
        const ended = await embedHere(["bad.jsonl", "-o", `bad-${i}.jsonl`, "--truncate", "error"]);
        assertEnded(ended, 1);
        assertStringIncludes(ended.stderr, "Cannot embed bad.jsonl:2: it ");
        assertStringIncludes(ended.stderr, message);
        assert(!existsSync(path(`bad-${i}.jsonl`)));
      }
      const words = ["in.jsonl", "--truncate", "error", "--on-error", "skip"];
      const ended = await embed([...words, "-o", "out.jsonl"]);
      assertEnded(ended, 4);
      assertStringIncludes(ended.stderr, `${BAD.length} rows were skipped: out.jsonl.errors.jsonl`);
      const errors = lines("out.jsonl.errors.jsonl") as unknown as {
        file: string;
        line: number;
        code: string;
        message: string;
      }[];
      assertEquals(
        errors.map(({ file, line, code }) => [file, line, code]),
        BAD.map(([, code], i) => ["in.jsonl", i + 2, code]),
      );
      for (const [i, { message }] of errors.entries()) assertStringIncludes(message, BAD[i]![2]);
      assertEquals(lines("out.jsonl").map(({ id }) => id), ["in.jsonl:1", `in.jsonl:${BAD.length + 2}`]);
      const printed = await embedHere(words);
      assertEnded(printed, 4);
      assertEquals(parsed(printed.stdout).length, 2);
      assertMatch(printed.stderr, /skipped in\.jsonl:2: it is no JSON\n/);
    });
  },
);

test(
  "embed goes on with --on-error skip where a row stopped it, and not with stop where rows are left out",
  { skip },
  async () => {
    await inPlace(async ({ embedHere, write, lines }) => {
      write("in.jsonl", '{"text":"one"}\n{"text":"two"}\nno JSON\n{"text":"three"}\n');
      const words = ["in.jsonl", "-o", "out.jsonl", "--checkpoint", "2"];
      const stopped = await embedHere(words);
      assertEnded(stopped, 1);
      assertStringIncludes(stopped.stderr, "--on-error skip goes on without such rows");
      const ended = await embedHere([...words, "--on-error", "skip"]);
      assertEnded(ended, 4);
      assertStringIncludes(ended.stderr, "going on after 2 texts");
      assertEquals(lines("out.jsonl").map(({ id }) => id), ["in.jsonl:1", "in.jsonl:2", "in.jsonl:4"]);
      const again = await embedHere(words);
      assertEnded(again, 1);
      assertStringIncludes(again.stderr, "its --on-error was skip, and is stop now; --restart begins anew");
    });
  },
);

test("embed that would go on with another job names the option as it is typed", { skip }, async () => {
  await inPlace(async ({ embedHere, write }) => {
    write("in.jsonl", '{"text":"one","n":1,"m":2}\n');
    const words = ["in.jsonl", "-o", "out.jsonl", "--keep", "n", "--shard", "1/1"];
    assertEnded(await embedHere(words), 0);
    const others: [string[], string][] = [
      [[...words.slice(0, 4), "m", ...words.slice(5)], "its --keep was n, and is m now"],
      [words.slice(0, 3).concat(words.slice(5)), "its --keep was n, and is not given now"],
      [words.slice(0, 5), "its --shard was 1/1, and is not given now"],
      [[...words, "--no-normalize"], "its --no-normalize was not given, and is given now"],
      [[...words, "--prompt", "p: "], 'its --prompt was not given, and is "p: " now'],
      [[...words, "--checkpoint", "7"], "its --checkpoint was 1000, and is 7 now"],
    ];
    for (const [given, told] of others) {
      const ended = await embedHere(given);
      assertEnded(ended, 1);
      assertStringIncludes(ended.stderr, told);
    }
  });
});

test("embed counts what was cut, and tells the remedy where it is much", { skip }, async () => {
  await inPlace(async ({ embedHere }) => {
    const ended = await embedHere(["--text", "long ".repeat(300), "--text", "one"]);
    assertEnded(ended, 0);
    assertEquals(parsed(ended.stdout).map(({ truncated }) => truncated), [true, false]);
    assertMatch(ended.stderr, /1 of 2 texts \(50\.0 %\) was cut to \d+ tokens\nwarning: .* a longer limit/);
    assertEquals((await embedHere(["--text", "long ".repeat(300), "--quiet"])).stderr, "");
  });
});

test("embed --input-type of a model without known prompts is exit code 2, and names --prompt", { skip }, async () => {
  await inPlace(async ({ embed, embedHere }) => {
    const ended = await embed(["--text", "one", "--input-type", "query"]);
    assertEnded(ended, 2);
    assertStringIncludes(ended.stderr, "--prompt");
    assertEnded(await embedHere(["--text", "one", "--prompt", "query: "]), 0);
    assertEnded(await embedHere(["--text", "one", "--prompt", "query: ", "--input-type", "query"]), 2);
  });
});

for (
  const [words, told] of [
    [[], "give files, -, or --text"],
    [["none.txt"], 'Cannot read "none.txt": there is no such file'],
    [["tiny.gguf"], "Cannot tell the format of tiny.gguf"],
    [["--text", "a", "-o", "out.csv"], 'Cannot tell the format of "out.csv"'],
    [["--text", "a", "--format", "parquet"], "Cannot write Parquet to stdout"],
    [
      ["--text", "a", "-o", "a.parquet", "--encoding", "base64"],
      "--encoding base64 with Parquet: it is for JSONL; leave it out",
    ],
    [
      ["--text", "a", "-o", "a.parquet", "--checkpoint", "7"],
      "--checkpoint 7 with Parquet: it is for JSONL; give --row-group 7",
    ],
    [
      ["--text", "a", "-o", "a.jsonl", "--row-group", "7"],
      "--row-group 7 with JSONL: it is for Parquet; give --checkpoint 7",
    ],
    [["--text", "a", "--part-rows", "7"], "--part-rows 7 with JSONL: it is for Parquet; leave it out"],
    [["--text", "a", "--restart"], "--restart without -o: what goes to stdout is no job"],
    [
      ["--text", "a", "-o", "a.parquet", "--part-rows", "7"],
      "--part-rows 7 with --row-group 10000, the default: a part has whole",
    ],
    [
      ["--text", "a", "-o", "a.parquet", "--row-group", "8", "--part-rows", "7"],
      "--part-rows 7 with --row-group 8: a part has whole row groups; give --row-group 7 or less, too",
    ],
    [["--text", "a", "--id", "n"], "its texts have no fields"],
    [["--text", "a", "--shard", "3/2"], "it must be I/N with I from 1 to N"],
    [["--text", "a", "--truncate", "middle"], "Allowed choices are end, start, error"],
    [["in.csv", "--model", "none.gguf"], 'in.csv: its first line has no field "text", only "body", "n"'], // 3 if it were loaded
  ] as const
) {
  test(`embed ${words.join(" ")} is exit code 2`, { skip }, async () => {
    await inPlace(async ({ embedHere, write }) => {
      write("in.csv", "body,n\none,1\n");
      const ended = await embedHere(words);
      assertEnded(ended, 2);
      assertStringIncludes(ended.stderr, told);
    });
  });
}

test("embed goes on only with the same job: other options, a changed input or model, a foreign output are refused", {
  skip,
}, async () => {
  await inPlace(async ({ embed, embedHere, write, path, lines }) => {
    writeJsonl(path("in.jsonl"), 500, 3);
    writeJsonl(path("a.jsonl"), 100, 4);
    const words = ["a.jsonl", "in.jsonl", "-o", "out.jsonl", "--checkpoint", "50"];
    const stop = { faulty: true, env: { LLAMASAUR_TEST_POINT: "before output:6:kill" } };
    assert(wasKilled(await embed(words, stop)));
    const refused = async (given: readonly string[], ...told: string[]) => {
      const ended = await embedHere(given);
      assertEnded(ended, 1);
      for (const one of [...told, "--restart"]) assertStringIncludes(ended.stderr, one);
    };
    await refused([...words, "--keep", "n"], "its --keep was not given, and is n now");
    await refused([...words, "--dimensions", "8"], "its --dimensions was not given, and is 8 now");
    await refused([...words.slice(0, -1), "7"], "its --checkpoint was 50, and is 7 now");
    const { model: _, ...header } = JSON.parse(readFileSync(path("out.jsonl.job"), "utf8").split("\n")[0]!);
    const text = readFileSync(path("in.jsonl"), "utf8");
    write("in.jsonl", `{"text":"another"}${text.slice(text.indexOf("\n"))}`);
    await refused(words, "what was read of in.jsonl has changed");
    write("in.jsonl", text);
    const first = readFileSync(path("a.jsonl"), "utf8");
    write("a.jsonl", `${first}{"text":"one more"}\n`);
    await refused(words, "what was read of a.jsonl has changed");
    write("a.jsonl", first);
    const journal = readFileSync(path("out.jsonl.job"), "utf8");
    write("out.jsonl.job", journal.replace(header.fingerprint, "0123456789abcdef"));
    await refused(words, "its fingerprint (model and options) was 0123456789abcdef, and is");
    write("out.jsonl.job", journal);
    write("other.jsonl", "mine\n");
    await refused(["a.jsonl", "-o", "other.jsonl"], "Cannot write other.jsonl: it is there, and no job made it");
    assertEquals(readFileSync(path("other.jsonl"), "utf8"), "mine\n");
    assertEnded(await embedHere(["a.jsonl", "-o", "other.jsonl", "--restart"]), 0);
    assertEquals(lines("other.jsonl").length, 100);
    // The input that was being read may grow, and LLAMASAUR_MODEL need not be there: the job knows its model.
    write("in.jsonl", `${text}{"text":"grown"}\n`);
    const ended = await embedHere(words, { env: { LLAMASAUR_MODEL: "" } });
    assertEnded(ended, 0);
    assertMatch(ended.stderr, /going on after \d+ texts/);
    assertEquals(lines("out.jsonl").length, 601);
    assertEquals(lines("out.jsonl").at(-1)!.id, "in.jsonl:501");
    assertStringIncludes((await embedHere(words)).stderr, "out.jsonl is complete: 601 texts");
    write("in.jsonl", `${text}{"text":"grown"}\n{"text":"again"}\n`);
    await refused(words, "what was read of in.jsonl has changed");
  });
});

test(
  "embed refuses to go on in a line that had not ended when it was read, and takes its line break",
  { skip },
  async () => {
    await inPlace(async ({ embed, embedHere, write, lines }) => {
      for (const name of ["in.txt", "in.csv"]) {
        write(name, "text\none\ntwo");
        const stop = { faulty: true, env: { LLAMASAUR_TEST_POINT: "before closing:1:kill" } };
        const words = [name, "-o", `${name}.jsonl`];
        await embed(words, stop);
        write(name, "text\none\ntwo and more\n");
        const ended = await embedHere(words);
        assertEnded(ended, 1);
        assertStringIncludes(ended.stderr, `what was read of ${name} has changed`);
        write(name, "text\none\ntwo\nthree");
        assertEnded(await embedHere(words), 0);
        const ids = [1, 2, 3, 4].slice(name === "in.csv" ? 1 : 0).map((line) => `${name}:${line}`);
        assertEquals(lines(`${name}.jsonl`).map(({ id }) => id), ids);
      }
    });
  },
);

test("embed to Parquet beyond --part-rows is a folder of parts, below it a file", { skip }, async () => {
  await inPlace(async ({ embedHere, path }) => {
    writeJsonl(path("in.jsonl"), 250, 5);
    const words = ["in.jsonl", "--row-group", "50", "--part-rows", "120"];
    assertEnded(await embedHere([...words, "-o", "out.parquet"]), 0);
    const counts = await Promise.all([0, 1, 2].map(async (i) => {
      return (await parquet(path(`out.parquet/part-0000${i}.parquet`))).rows.length;
    }));
    assertEquals(counts, [100, 100, 50]);
    assert(!existsSync(path("out.parquet.part")));
    assertEnded(await embedHere(["in.jsonl", "-o", "out.parquet", "--restart"]), 0);
    assertEquals((await parquet(path("out.parquet"))).rows.length, 250);
  });
});

test("embed with a full or read-only disk is exit code 1, and the last checkpoint stays good", { skip }, async () => {
  await inPlace(async ({ embed, embedHere, path, lines }) => {
    writeJsonl(path("in.jsonl"), 400, 6);
    const words = ["in.jsonl", "-o", "out.jsonl", "--checkpoint", "50"];
    const full = { faulty: true, env: { LLAMASAUR_TEST_POINT: "after output:3:ENOSPC" } };
    assertEnded(await embed(words, full), 1);
    const again = await embedHere(words);
    assertEnded(again, 0);
    assertStringIncludes(again.stderr, "going on after 100 texts");
    assertEquals(lines("out.jsonl").length, 400);
    if (!noFullDisk) {
      symlinkSync("/dev/full", path("full.jsonl.part")); // what the system itself says
      const ended = await embedHere(["in.jsonl", "-o", "full.jsonl"]);
      assertEnded(ended, 1);
      assertStringIncludes(ended.stderr, "error: Cannot write full.jsonl.part: the disk is full\n");
      rmSync(path("full.jsonl.part"));
      assertEnded(await embedHere(["in.jsonl", "-o", "full.jsonl"]), 0);
      assertEquals(lines("full.jsonl").length, 400);
    }
    const dev = await embedHere(["in.jsonl", "-o", "/proc/none.jsonl"]);
    assertEnded(dev, 1);
    assertStringIncludes(dev.stderr, "Cannot write /proc/none.jsonl");
  });
});

const noLimit = spawnSync("prlimit", ["--version"]).status === 0 ? false : "there is no prlimit";

test("embed beyond the system's limit of a file is exit code 1, and the last checkpoint stays good", {
  skip: skip || noLimit,
}, async () => {
  await inPlace(async ({ embed, embedHere, path, lines }) => {
    writeJsonl(path("in.jsonl"), 400, 6);
    const words = ["in.jsonl", "-o", "out.jsonl", "--checkpoint", "50"];
    const env = { LLAMASAUR_TEST_POINT: "before output:3:limit", LLAMASAUR_TEST_LIMIT: "100000" }; // the third ends behind it
    const ended = await embed(words, { faulty: true, env });
    assertEnded(ended, 1);
    assertStringIncludes(ended.stderr, "Cannot write out.jsonl.part: the file is larger than the system allows");
    const again = await embedHere(words);
    assertEnded(again, 0);
    assertStringIncludes(again.stderr, "going on after 100 texts");
    assertEquals(lines("out.jsonl").length, 400);
  });
});

test("embed ends at once when the engine is lost, and the last checkpoint stays good", { skip }, async () => {
  await inPlace(async ({ embed, embedHere, path, lines }) => {
    writeJsonl(path("in.jsonl"), 400, 6);
    const words = ["in.jsonl", "-o", "out.jsonl", "--checkpoint", "50"];
    const env = { LLAMASAUR_TEST_LOST: "3", LLAMASAUR_TEST_COUNT: path("count") };
    const ended = await embed(words, { faulty: true, env });
    assertEnded(ended, 1);
    assertStringIncludes(ended.stderr, "error: Cannot compute: made by a test\n");
    assertEquals(readFileSync(path("count"), "utf8"), "50\n50\n50\n"); // none behind the one that failed
    assert(!existsSync(path("out.jsonl.lock")));
    const again = await embedHere(words);
    assertEnded(again, 0);
    assertStringIncludes(again.stderr, "going on after 100 texts");
    assertEquals(lines("out.jsonl").length, 400);
  });
});

test("embed by a second process on an output says who has it; a lock of a dead or reused process is taken over", {
  skip,
}, async () => {
  await inPlace(async ({ embed, embedHere, path, write }) => {
    writeJsonl(path("in.jsonl"), 200, 9);
    const words = ["in.jsonl", "-o", "out.jsonl"];
    const boot = existsSync("/proc/sys/kernel/random/boot_id")
      ? readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()
      : undefined;
    if (boot === undefined) return;
    const start = readFileSync("/proc/self/stat", "utf8").replace(/.*\) /s, "").split(" ")[19];
    write("out.jsonl.lock", JSON.stringify({ pid: process.pid, start, boot, token: "x" }));
    const ended = await embed(words);
    assertEnded(ended, 1);
    assertStringIncludes(ended.stderr, `Cannot work on out.jsonl: process ${process.pid} does (out.jsonl.lock)`);
    write("out.jsonl.lock", JSON.stringify({ pid: process.pid, start: "1", boot, token: "x" })); // used again
    assertEnded(await embedHere(words), 0);
    write("out.jsonl.lock", JSON.stringify({ pid: 4_194_300, start, boot, token: "x" })); // dead
    assertEnded(await embedHere([...words, "--restart"]), 0);
    assert(!existsSync(path("out.jsonl.lock")));
  });
});

test("embed to a pipe that is closed ends quietly", { skip }, async () => {
  await inPlace(async ({ path, embed }) => {
    writeJsonl(path("in.jsonl"), 3000, 13);
    const { stderr, code } = await embed(["in.jsonl"], { closeStdout: true });
    assertEquals([code, stderr], [0, ""]);
  });
});
