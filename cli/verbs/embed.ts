/** Embeds texts: files, lines or arguments; to stdout, or as a job that survives. */
import { UsageError } from "../failure.ts";
import type { ModelOptions } from "../model.ts";
import { quoted } from "../quote.ts";
import type { Session } from "../session.ts";
import { collected, integer, names, withoutMark } from "../values.ts";
import type { Given, Verb } from "../verb.ts";
import type { Settings } from "../jobs/settings.ts";

/** The options of `embed`. */
export interface EmbedOptions extends ModelOptions {
  readonly output?: string;
  readonly text?: readonly string[];
  readonly field: string;
  readonly id?: string;
  readonly keep?: readonly string[];
  readonly inputType?: "query" | "document";
  readonly prompt?: string;
  readonly dimensions?: number;
  readonly normalize: boolean;
  readonly truncate: "end" | "start" | "error";
  readonly inputFormat?: string;
  readonly format?: "jsonl" | "parquet";
  readonly encoding?: "float" | "base64";
  readonly onError: "stop" | "skip";
  readonly checkpoint?: number;
  readonly rowGroup?: number;
  readonly partRows?: number;
  readonly shard?: { readonly index: number; readonly count: number };
  readonly restart?: boolean;
  readonly json?: boolean;
}

const CHECKPOINT = 1000;
const ROW_GROUP = 10_000;
const PART_ROWS = 1_000_000;
const MOST_ROWS = 1_000_000;

/** The verb. */
export const verb: Verb<EmbedOptions> = {
  arguments: "[inputs...]",
  description: "Computes a vector of each text: of files, folders and globs, of - for stdin, or of --text. " +
    "With -o it is a job: stopped or killed, the same command goes on where it was.",
  shared: ["model", "json"],
  options: [
    { flags: "-o, --output <path>", description: "a .jsonl or .parquet file; without it JSONL goes to stdout" },
    { flags: "--text <text>", description: "a text, beside those of files; repeatable", read: collected },
    { flags: "--field <name>", description: "the field of the text", default: "text" },
    { flags: "--id <name>", description: "the field of the id, else FILE:LINE" },
    { flags: "--keep <names>", description: "fields to keep, with commas, or all", read: names("--keep") },
    {
      flags: "--input-type <type>",
      description: "puts the model's own prompt before each text",
      choices: ["query", "document"],
    },
    { flags: "--prompt <text>", description: "puts this before each text" },
    { flags: "--dimensions <count>", description: "cuts the vectors (Matryoshka)", read: integer("--dimensions", 1) },
    { flags: "--no-normalize", description: "leaves the vectors as long as they are" },
    {
      flags: "--truncate <end>",
      description: "what of a long text is cut off",
      choices: ["end", "start", "error"],
      default: "end",
    },
    {
      flags: "--input-format <format>",
      description: "whatever the suffix is",
      choices: ["txt", "md", "jsonl", "csv", "parquet"],
    },
    { flags: "--format <format>", description: "whatever the output's suffix is", choices: ["jsonl", "parquet"] },
    {
      flags: "--encoding <encoding>",
      description: "of vectors in JSONL (default: float)",
      choices: ["float", "base64"],
    },
    {
      flags: "--on-error <what>",
      description: "at a row that cannot be embedded",
      choices: ["stop", "skip"],
      default: "stop",
    },
    {
      flags: "--checkpoint <rows>",
      description: `rows of a call and of a checkpoint of JSONL (default: ${CHECKPOINT})`,
      read: integer("--checkpoint", 1, MOST_ROWS),
    },
    {
      flags: "--row-group <rows>",
      description: `the same of Parquet (default: ${ROW_GROUP})`,
      read: integer("--row-group", 1, MOST_ROWS),
    },
    {
      flags: "--part-rows <rows>",
      description: `rows of a file of Parquet, beyond which it is a folder (default: ${PART_ROWS})`,
      read: integer("--part-rows", 1),
    },
    { flags: "--shard <I/N>", description: "the I-th of N shares of the inputs", read: shardOf },
    { flags: "--restart", description: "begins anew, and replaces the output" },
  ],
  examples: [
    'embed --model all-minilm-l6-v2 --text "a cat" --text "a car"',
    "embed texts.jsonl --model all-minilm-l6-v2 -o vectors.jsonl",
  ],
  run,
};

async function run({ args, options, words }: Given<EmbedOptions>, session: Session): Promise<number> {
  const { restart = false, json = false } = options;
  const settings = settingsOf(args, options);
  const { embed } = await import("../jobs/embed.ts");
  return await embed({ settings, model: options, restart, json, words }, session);
}

/** Checks the options together. */
function settingsOf(inputs: readonly string[], options: EmbedOptions): Settings {
  const output = outputOf(options);
  const { text: texts = [], checkpoint = CHECKPOINT, rowGroup = ROW_GROUP, partRows = PART_ROWS } = options;
  const { field, id, keep = [], inputFormat, onError, shard } = options;
  if (inputs.length === 0 && texts.length === 0) throw new UsageError("Cannot embed nothing: give files, -, or --text");
  if (options.prompt !== undefined && options.inputType !== undefined) {
    throw new UsageError("Cannot take --prompt and --input-type together: one of them says what is before each text");
  }
  const format = formatOf(output, options);
  checkApplies(format, options);
  if (partRows < rowGroup) {
    const given = options.rowGroup === undefined ? ", the default" : "";
    throw new UsageError(
      `Cannot take --part-rows ${partRows} with --row-group ${rowGroup}${given}: a part has whole row groups; ` +
        `give --row-group ${partRows} or less, too`,
    );
  }
  const { encoding = "float" } = options;
  const reading = { field, id, keep: keptOf(keep) };
  const { inputType, prompt, dimensions, normalize, truncate } = options;
  const embed = { inputType, prompt, dimensions, normalize, truncate };
  const groupRows = format === "parquet" ? rowGroup : checkpoint;
  return { inputs, texts, inputFormat, reading, embed, output, format, encoding, onError, groupRows, partRows, shard };
}

/** Refuses options that the output's format has no use for. */
function checkApplies(format: "jsonl" | "parquet", options: EmbedOptions): void {
  const { output, restart, encoding, checkpoint, rowGroup, partRows } = options;
  const parquet = format === "parquet";
  const [name, wrong] = parquet ? ["Parquet", "JSONL"] : ["JSONL", "Parquet"];
  const refused: readonly (readonly [string, unknown, string])[] = parquet
    ? [["--encoding", encoding, "leave it out"], ["--checkpoint", checkpoint, `give --row-group ${checkpoint}`]]
    : [["--row-group", rowGroup, `give --checkpoint ${rowGroup}`], ["--part-rows", partRows, "leave it out"]];
  for (const [option, value, remedy] of refused) {
    if (value === undefined) continue;
    throw new UsageError(`Cannot take ${option} ${value} with ${name}: it is for ${wrong}; ${remedy}`);
  }
  if (output === undefined && restart) {
    throw new UsageError("Cannot take --restart without -o: what goes to stdout is no job; leave it out, or give -o");
  }
}

/** The fields that are kept, each once. */
function keptOf(names: readonly string[]): readonly string[] | "all" {
  if (!names.includes("all")) return [...new Set(names)];
  const other = names.find((name) => name !== "all");
  if (other === undefined) return "all";
  throw new UsageError(`Cannot take --keep all and ${quoted(other)}: all has every field`);
}

/** Where it goes. */
function outputOf({ output }: EmbedOptions): string | undefined {
  if (output === "-") throw new UsageError("Cannot write a job to -: leave -o out, and JSONL goes to stdout");
  return output && withoutMark(output);
}

function formatOf(output: string | undefined, { format }: EmbedOptions): "jsonl" | "parquet" {
  if (output === undefined) {
    if (format === "parquet") throw new UsageError("Cannot write Parquet to stdout: give -o");
    return "jsonl";
  }
  const [, suffix = ""] = /\.(jsonl|ndjson|parquet)$/i.exec(output) ?? [];
  const found = format ?? { jsonl: "jsonl", ndjson: "jsonl", parquet: "parquet" }[suffix.toLowerCase()];
  if (found) return found as "jsonl" | "parquet";
  throw new UsageError(`Cannot tell the format of ${quoted(output)}: end it in .jsonl or .parquet, or give --format`);
}

/** Reads `I/N`. */
function shardOf(value: string): { index: number; count: number } {
  const [, index = 0, count = 0] = (/^(\d+)\/(\d+)$/.exec(value) ?? []).map(Number);
  if (index >= 1 && index <= count) return { index, count };
  throw new UsageError(`Cannot read --shard ${quoted(value)}: it must be I/N with I from 1 to N, such as 1/4`);
}
