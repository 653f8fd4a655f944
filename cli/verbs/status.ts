/** Tells how far a job of `embed` is, by its journal: while it runs, or after it was stopped. */
import { UsageError } from "../failure.ts";
import { count, counted, duration } from "../progress.ts";
import { shown } from "../quote.ts";
import type { Session } from "../session.ts";
import { withoutMark } from "../values.ts";
import type { Given, Verb } from "../verb.ts";

/** The options of `status`. */
export interface StatusOptions {
  readonly json?: boolean;
}

/** The verb. */
export const verb: Verb<StatusOptions> = {
  arguments: "<out>",
  description:
    "Tells how far the job of an output is: rows that are safe on the disk, their rate, skipped and cut ones.",
  shared: ["json"],
  options: [],
  examples: ["status vectors.jsonl", "status vectors.jsonl --json"],
  run,
};

async function run({ args: [given = ""], options }: Given<StatusOptions>, session: Session): Promise<void> {
  const output = withoutMark(given);
  const { readJournal } = await import("../jobs/journal.ts");
  const journal = await readJournal(output);
  if (journal === undefined) {
    throw new UsageError(`Cannot tell of ${shown(output)}: it has no job; embed with -o ${shown(output)} begins one`);
  }
  const { header, last, complete } = journal;
  const { rows = 0, skipped = 0, truncated = 0, tokens = 0, seconds = 0 } = complete?.totals ?? last?.totals ?? {};
  const rate = seconds > 0 ? rows / seconds : 0;
  // How many rows there are nobody knows of lines before they are read: the part is of the inputs' bytes.
  const total = complete ? rows + skipped : header.rows;
  const part = complete ? 1 : header.bytes ? Math.min(1, (last?.read ?? 0) / header.bytes) : undefined;
  const { model, fingerprint } = header;
  if (options.json) {
    const all = {
      output,
      model,
      fingerprint,
      complete: complete !== undefined,
      rows,
      skipped,
      truncated,
      tokens,
      seconds,
    };
    await session.json({ ...all, rate, total: total ?? null, part: part ?? null });
    return;
  }
  const done = complete
    ? "complete"
    : part === undefined
    ? "not complete"
    : `${Math.floor(part * 100)} % of the inputs`;
  const numbers = [
    complete || total === undefined ? counted(rows, "row") : `${count(rows)} of ${counted(total, "row")}`,
    counted(tokens, "token"),
    ...(skipped > 0 ? [`${count(skipped)} skipped`] : []),
    ...(truncated > 0 ? [`${count(truncated)} cut`] : []),
    `${duration(seconds)} of work`,
    `${count(rate)} rows/s`,
  ];
  await session.write(`${done}: ${numbers.join(", ")}\nmodel ${model}, fingerprint ${fingerprint}\n`);
}
