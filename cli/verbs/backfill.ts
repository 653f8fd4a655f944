/** Plans the vectors of a table of PostgreSQL, for workers to compute. */
import { UsageError } from "../failure.ts";
import { quoted } from "../quote.ts";
import type { Session } from "../session.ts";
import { integer, names } from "../values.ts";
import type { Given, Verb, VerbOption } from "../verb.ts";
import type { BackfillOptions } from "../worker/settings.ts";

/** Rows of a job. */
const SHARD = 256;

/** Where the database is; the same for all verbs over one. */
export const DATABASE: VerbOption = {
  flags: "--database <url>",
  description: "postgres://… (default: DATABASE_URL, else the PG* variables)",
};

/** The verb. */
export const verb: Verb<BackfillOptions> = {
  arguments: "",
  description:
    "Finds the rows of a table whose text has no vector of this model yet, and enqueues them for `worker`. " +
    "Run again, it enqueues what is missing then, and nothing twice.",
  shared: ["model", "json"],
  options: [
    DATABASE,
    { flags: "--table <name>", description: "the table or view that has the texts" },
    { flags: "--key <columns>", description: "its key; several columns with commas", read: names("--key") },
    { flags: "--text <column>", description: "the column of the text" },
    { flags: "--into <name>", description: "the table of the vectors, made if need be (default: TABLE_embeddings)" },
    { flags: "--where <sql>", description: "rows that count: SQL, run as it is" },
    { flags: "--chunk [tokens]", description: "refused: in this version a text is one vector" },
    { flags: "--dimensions <count>", description: "cuts the vectors (Matryoshka)", read: integer("--dimensions", 1) },
    {
      flags: "--input-type <type>",
      description: "puts the model's own prompt before each text",
      choices: ["query", "document"],
    },
    {
      flags: "--truncate <end>",
      description: "what of a long text is cut off",
      choices: ["end", "start", "error"],
      default: "end",
    },
    { flags: "--type <type>", description: "of the vectors", choices: ["halfvec", "vector"], default: "halfvec" },
    { flags: "--shard <rows>", description: "rows of a job", read: integer("--shard", 1, 10_000), default: SHARD },
    { flags: "--limit <rows>", description: "enqueues so many rows at most", read: integer("--limit", 1) },
    { flags: "--dry-run", description: "tells what it would be, and changes nothing" },
  ],
  examples: [
    "backfill --table docs --key id --text body --model all-minilm-l6-v2 --dry-run",
    "backfill --table docs --key id --text body --model all-minilm-l6-v2",
  ],
  run,
};

async function run({ args, options }: Given<BackfillOptions>, session: Session): Promise<void> {
  if (args.length > 0) throw new UsageError(`Cannot take ${quoted(args[0]!)}: backfill has options alone`);
  const { backfill } = await import("../worker/backfill.ts");
  await backfill(options, session);
}
