import { test } from "node:test";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { Buffer } from "node:buffer";
import { writeFileSync } from "node:fs";
import { join } from "@std/path";
import { findInputs } from "../../../cli/data/inputs.ts";
import { Failure, UsageError } from "../../../cli/failure.ts";
import { type Batch, type Position, Source } from "../../../cli/data/source.ts";
import { inDirectory } from "../../support/checkpoint.ts";
import { randomIntegers } from "../../support/random.ts";

/** The rows of a CSV file: line, text or what is wrong, end. */
async function rowsOf(content: string | Uint8Array): Promise<(readonly [number, string | undefined, number])[]> {
  let rows: (readonly [number, string | undefined, number])[] = [];
  await inDirectory(async (directory) => {
    const path = join(directory, "in.csv");
    writeFileSync(path, content);
    const source = new Source(await findInputs([path], undefined), { field: "text", id: undefined, keep: [] });
    const batch = await source.take(100);
    rows = batch.rows.map(({ row: { line, text, problem, end } }) => [line, text ?? problem?.message, end]);
    await source.close();
  });
  return rows;
}

test("a CSV file is read the same with a mark at its beginning, with CRLF, and without a line break at its end", async () => {
  const plain = 'n,text\n1,"one\nand ä"\n2,"say ""two"""';
  const rows = [[2, "one\nand ä", 21], [4, 'say "two"', 37]] as const;
  assertEquals(await rowsOf(plain), rows.map((row) => [...row]));
  assertEquals(await rowsOf(`\ufeff${plain}\n`), [[2, "one\nand ä", 24], [4, 'say "two"', 40]]);
  assertEquals((await rowsOf(plain.replaceAll("\n", "\r\n"))).map(([line, text]) => [line, text]), [
    [2, "one\r\nand ä"],
    [4, 'say "two"'],
  ]);
  assertEquals(await rowsOf("text\n"), []);
  for (const end of ["\n", "\r\n", "\r"]) { // empty lines are no rows, and count as lines
    const lines = ["", "text", "", "one", "", "", "two", ""].join(end);
    assertEquals((await rowsOf(lines)).map(([line, text]) => [line, text]), [[4, "one"], [7, "two"]]);
  }
});

test("a row of CSV that is not UTF-8 is told, and so is what is wrong with quotes, without the words of the row", async () => {
  assertEquals(await rowsOf(Buffer.from("text\nfine\nf\xefn\nfine\n", "latin1")), [
    [2, "fine", 9],
    [3, "is not UTF-8", 13],
    [4, "fine", 18],
  ]);
  const wrong = (why: string) => `is no row of this CSV: ${why}`;
  assertEquals((await rowsOf('text\nse"cret\nfine\n')).map(([, text]) => text), [
    wrong("a quote stands within a field that does not begin with one"),
    "fine",
  ]);
  assertEquals(
    (await rowsOf('text\n"cl"osed\n')).map(([, text]) => text)[0],
    wrong("a quote that closes a field is not its end"),
  );
  assertEquals((await rowsOf('text\n"open\nfine\n')).map(([, text]) => text), [wrong("a quote is not closed")]);
  assertEquals((await rowsOf("text,n\none,1\ntwo\n")).map(([, text]) => text), [
    "one",
    wrong("its fields are not as many as those of the first line"),
  ]);
  await assertRejects(
    () => rowsOf(Buffer.from("t\xefxt\none\n", "latin1")),
    Failure,
    "in.csv: the line that names its fields is not UTF-8",
  );
});

test("a record of CSV with wrong quotes is one row, and moves neither the lines nor the places of those behind it", async () => {
  const wrong = "is no row of this CSV: a quote stands within a field that does not begin with one";
  assertEquals(await rowsOf('text\none\n\ns"e"cr"et\ntwo\n\nthr"ee'), [
    [2, "one", 8],
    [4, wrong, 19],
    [5, "two", 23],
    [7, wrong, 31],
  ]);
});

test("a CSV file without a line that names its fields is refused, and so is one of line breaks alone", async () => {
  for (const content of ["", "\ufeff", "\n", "\r", "\ufeff\r\n\r\n"]) {
    await assertRejects(() => rowsOf(content), UsageError, "in.csv: it is empty, and the first line of CSV names its");
  }
});

test("each line break ends a record of CSV, whichever the others of the file are, but none within quotes", async () => {
  const texts = async (content: string) => (await rowsOf(content)).map(([line, text]) => [line, text]);
  const expected = [[2, "one"], [3, "two"], [4, "a\rb\r\nc\nd"], [8, "three"], [10, "four"]];
  for (const end of ["\n", "\r\n", "\r"]) {
    assertEquals(await texts(`text${end}one\rtwo\r\n"a\rb\r\nc\nd"\nthree\n\nfour\r`), expected);
  }
});

/** The lines of the rows that are read in two goes, the second one after the file has become another. */
async function grown(first: string, then: string, taken: number): Promise<number[]> {
  let lines: number[] = [];
  await inDirectory(async (directory) => {
    const path = join(directory, "in.csv");
    writeFileSync(path, first);
    const reading = { field: "text", id: undefined, keep: [] };
    const source = new Source(await findInputs([path], undefined), reading);
    const { position } = await source.take(taken);
    await source.close();
    writeFileSync(path, then);
    const again = new Source(await findInputs([path], undefined), reading, position);
    try {
      lines = (await again.take(100)).rows.map(({ row }) => row.line);
    } finally {
      await again.close();
    }
  });
  return lines;
}

test("a CSV file that has grown goes on behind its last record, whose line break may come later", async () => {
  for (const end of ["\n", "\r\n"]) {
    const first = ["text", "one", '"two"'].join(end);
    for (const begin of ["", "\ufeff"]) {
      assertEquals(await grown(`${begin}${first}`, `${begin}${first}${end}three${end}`, 100), [4]);
      assertEquals(await grown(`${begin}${first}${end}`, `${begin}${first}${end}${end}three`, 100), [5]);
      assertEquals(await grown(`${begin}${first}`, `${begin}${first}${end}`, 100), []);
      assertEquals(await grown(`${begin}${first}`, `${begin}${first}`, 100), []);
    }
  }
  const refused = (first: string, then: string) => assertRejects(() => grown(first, then, 100), Failure, "has changed");
  await refused("text\none\ntwo", "text\none\ntwo more\n");
  await refused('text\none\n"two', 'text\none\n"two\nlines"\n');
  await refused("text,n\none,1\ntwo", "text,n\none,1\ntwo,2\n");
  await refused("text\none\ntwo\n", "text\none\nTwo\nthree\n");
});

test("a CSV file that was cut at any byte and has grown since gives the rows of one that was not, or is refused", async () => {
  let [gone, refused] = [0, 0];
  await inDirectory(async (directory) => {
    const path = join(directory, "in.csv");
    const draw = randomIntegers(21);
    const of = (list: readonly string[]) => list[draw(0, list.length - 1)]!;
    const fields = ["a", "ä", '"a"', '"a,""b"""', '"a\r\nb"', '"\r"', '"\n"', "", '""', 'a"b', '"a"b', '"a\r'];
    const read = async (content: Uint8Array, position?: Position) => {
      writeFileSync(path, content);
      const reading = { field: "text", id: undefined, keep: "all" } as const;
      const source = new Source(await findInputs([path], undefined), reading, position);
      try {
        return await source.take(1000);
      } finally {
        await source.close();
      }
    };
    const told = ({ rows }: Batch) =>
      rows.map(({ row: { line, text, kept, problem } }) => ({ line, text, kept, problem }));
    for (let file = 0; file < 40; file++) {
      const usual = of(["\n", "\r\n", "\r"]);
      const end = () => draw(0, 4) > 0 ? usual : of(["\n", "\r\n", "\r", "\n\r", "\r\r\n"]);
      const head = `${of(["", "\ufeff"])}text,k`;
      const usually = (list: readonly string[]) => of(draw(0, 3) > 0 ? list.slice(0, 3) : list);
      const records = Array.from({ length: 4 }, () => `${end()}${usually(fields)},${usually(fields)}`);
      const content = new TextEncoder().encode(`${head}${records.join("")}${of(["", usual, end() + end()])}`);
      const whole = told(await read(content));
      for (let cut = new TextEncoder().encode(head).length; cut < content.length; cut++) {
        const first = await read(content.subarray(0, cut));
        const then = await read(content, first.position).catch((error: Failure) => error);
        if (then instanceof Error) {
          assertMatch(then.message, /in\.csv has changed \(it was .* longer\)/);
          refused++;
        } else {
          assertEquals([...told(first), ...told(then)], whole, JSON.stringify([file, cut]));
          gone++;
        }
      }
    }
  });
  assert(gone > 300 && refused > 100, `${gone} ${refused}`);
});

test("a CSV file that was cut within CRLF goes on with the row behind it, also behind quotes", async () => {
  for (const row of ["two", '"two"']) {
    const first = `text\r\none\r\n${row}\r`;
    assertEquals(await grown(first, `${first}\nthree\r\n`, 100), [4]);
    assertEquals(await grown(first, first, 100), []);
    assertEquals(await grown(first, `${first}\n\r\n\n`, 100), []);
  }
  assertEquals(await grown("text\r", "text\r\n\r\n", 100), []);
});

test("a CSV file is gone on with between a row and one with wrong quotes", async () => {
  const text = 'text\none\ns"e"cret\ntwo\n';
  for (const [taken, lines] of [[1, [3, 4]], [2, [4]], [3, []]] as const) {
    assertEquals(await grown(text, text, taken), [...lines]);
  }
});

test("a CSV file whose first line lacks a field that is read, or has it twice, is refused with the names that it has", async () => {
  await assertRejects(
    () => rowsOf("text;n\none;1\n"),
    UsageError,
    'in.csv: its first line has no field "text", only "text;n"',
  );
  await assertRejects(() => rowsOf("text,n,text\none,1,two\n"), UsageError, 'its first line has 2 fields "text"');
  assertEquals((await rowsOf("n,n,text\n1,2,three\n")).map(([, text]) => text), ["three"]); // of others nobody asks
});
