/** Reads all texts of inputs into memory, for what needs them together. */
import { Failure, UsageError } from "../failure.ts";
import { until } from "../pause.ts";
import { shown } from "../quote.ts";
import { findInputs, type Input, SUFFIXES } from "./inputs.ts";
import type { Value } from "./rows.ts";
import { Source } from "./source.ts";

/** A text and the id that it has in its input. */
export interface Document {
  readonly id: Value;
  readonly text: string;
}

/** What is read. */
export interface Wanted {
  /** Paths, folders, globs, `-`. */
  readonly inputs: readonly string[];
  /** Texts that were given as such; they come first. */
  readonly texts: readonly string[];
  /** The field of the text. */
  readonly field: string;
}

const ROWS = 1000;

/**
 * Reads the texts of all inputs.
 *
 * @param signal Ends the reading; stdin may have nothing to say for ever.
 * @throws {Failure} at the first row that has none, naming its file and line.
 */
export async function readDocuments({ inputs, texts, field }: Wanted, signal: AbortSignal): Promise<Document[]> {
  const found = await findInputs(inputs, undefined);
  const given: Input = { path: "text", format: "given", gzip: false, size: undefined, texts };
  const all = texts.length > 0 ? [given, ...found] : found;
  if (all.length === 0) {
    throw new UsageError(
      `Cannot read texts: there is no file to read in ${inputs.map(shown).join(", ")}; the suffixes are ${SUFFIXES}`,
    );
  }
  const source = new Source(all, { field, id: undefined, keep: [] });
  const documents: Document[] = [];
  try {
    for (let end = false; !end;) {
      const batch = await until(source.take(ROWS), signal);
      for (const { row, file } of batch.rows) {
        if (row.text === undefined) {
          throw new Failure(`Cannot read ${shown(file)}:${row.line}: it ${row.problem?.message}`);
        }
        documents.push({ id: row.id!, text: row.text });
      }
      end = batch.end;
    }
  } finally {
    await source.close();
  }
  return documents;
}
