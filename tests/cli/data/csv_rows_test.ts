import { test } from "node:test";
import { assertEquals, assertRejects } from "@std/assert";
import { Buffer } from "node:buffer";
import { writeFileSync } from "node:fs";
import { join } from "@std/path";
import { findInputs } from "../../../cli/data/inputs.ts";
import { Failure, UsageError } from "../../../cli/failure.ts";
import { Source } from "../../../cli/data/source.ts";
import { inDirectory } from "../../support/checkpoint.ts";

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
  const rows = [[2, "one\nand ä", 22], [4, 'say "two"', 37]] as const;
  assertEquals(await rowsOf(plain), rows.map((row) => [...row]));
  assertEquals(await rowsOf(`\ufeff${plain}\n`), [[2, "one\nand ä", 25], [4, 'say "two"', 41]]);
  assertEquals((await rowsOf(plain.replaceAll("\n", "\r\n"))).map(([line, text]) => [line, text]), [
    [2, "one\r\nand ä"],
    [4, 'say "two"'],
  ]);
  assertEquals(await rowsOf(""), []);
  assertEquals(await rowsOf("\ufeff"), []);
  assertEquals(await rowsOf("text\n"), []);
  for (const end of ["\n", "\r\n", "\r"]) { // empty lines are no rows, and count as lines
    const lines = ["", "text", "", "one", "", "", "two", ""].join(end);
    assertEquals((await rowsOf(lines)).map(([line, text]) => [line, text]), [[4, "one"], [7, "two"]]);
  }
});

test("a row of CSV that is not UTF-8 is told, and so is what is wrong with quotes, without the words of the row", async () => {
  assertEquals(await rowsOf(Buffer.from("text\nfine\nf\xefn\nfine\n", "latin1")), [
    [2, "fine", 10],
    [3, "is not UTF-8", 14],
    [4, "fine", 19],
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

test("a CSV file whose first line lacks a field that is read, or has it twice, is refused with the names that it has", async () => {
  await assertRejects(
    () => rowsOf("text;n\none;1\n"),
    UsageError,
    'in.csv: its first line has no field "text", only "text;n"',
  );
  await assertRejects(() => rowsOf("text,n,text\none,1,two\n"), UsageError, 'its first line has 2 fields "text"');
  assertEquals((await rowsOf("n,n,text\n1,2,three\n")).map(([, text]) => text), ["three"]); // of others nobody asks
});
