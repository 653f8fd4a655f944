/** Holds what a job was asked to do, and compares it with what an earlier process was asked. */
import { createHash } from "node:crypto";
import type { EmbedOptions } from "@llamasaur/llamasaur";
import { Failure } from "../failure.ts";
import type { Reading } from "../data/rows.ts";
import { quoted, shown } from "../quote.ts";

/** What is to be done, checked. */
export interface Settings {
  /** Paths, folders, globs, `-`. */
  readonly inputs: readonly string[];
  readonly texts: readonly string[];
  readonly inputFormat: string | undefined;
  readonly reading: Reading;
  readonly embed: Pick<EmbedOptions, "dimensions" | "inputType" | "normalize" | "prompt" | "truncate">;
  /** Where it goes; undefined for stdout. */
  readonly output: string | undefined;
  readonly format: "jsonl" | "parquet";
  readonly encoding: "float" | "base64";
  readonly onError: "stop" | "skip";
  /** Rows of a group: of a checkpoint, and of a Parquet row group. */
  readonly groupRows: number;
  /** Rows of a part of a Parquet output, at most, unless a group has more. */
  readonly partRows: number;
  /** This job's share: the index from 1, and how many there are. */
  readonly shard: { readonly index: number; readonly count: number } | undefined;
}

/**
 * What changes the output, as the journal has it. Of texts only a hash is kept: they are not for logs and errors. What is done
 * with a row that cannot be embedded is not there: rows that are written are the same either way.
 */
export function fixedOptions(settings: Settings): Record<string, unknown> {
  const { output: _, onError: __, embed, reading, ...rest } = settings;
  const { texts } = settings;
  const sha256 = createHash("sha256").update(JSON.stringify(texts)).digest("hex");
  const told = texts.length > 0 ? [`${texts.length} of sha256 ${sha256}`] : [];
  return JSON.parse(JSON.stringify({ ...rest, texts: told, ...reading, ...embed }));
}

/**
 * Refuses to go on with a job that was another.
 *
 * @param skipped Rows that it has left out.
 * @throws {Failure} naming the first difference, with both values.
 */
export function compareOptions(
  settings: Settings,
  before: Readonly<Record<string, unknown>>,
  skipped: number,
): void {
  const output = settings.output!;
  const now = fixedOptions(settings);
  for (const name of new Set([...Object.keys(before), ...Object.keys(now)])) {
    if (name === "onError") continue; // journals had it
    const [was, is] = [before[name], now[name]];
    if (JSON.stringify(was) === JSON.stringify(is)) continue;
    throw another(output, flagOf(name, now["format"]), typed(name, was), typed(name, is));
  }
  if (skipped > 0 && settings.onError === "stop") throw another(output, "--on-error", "skip", "stop");
}

/** An option as it is typed. */
function flagOf(name: string, format: unknown): string {
  if (name === "groupRows") return format === "parquet" ? "--row-group" : "--checkpoint";
  if (name === "texts") return "--text";
  if (name === "inputs") return "list of inputs";
  if (name === "normalize") return "--no-normalize";
  return `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** The value of an option as it is typed, for a message. */
function typed(name: string, value: unknown): string {
  if (name === "normalize") return value === false ? "given" : "not given";
  if (name === "shard" && value !== undefined) {
    const { index, count } = value as { readonly index: number; readonly count: number };
    return `${index}/${count}`;
  }
  if (value === undefined || Array.isArray(value) && value.length === 0) return "not given";
  if (Array.isArray(value)) return value.map((one) => shown(String(one))).join(name === "inputs" ? " " : ",");
  return typeof value === "string" ? quoted(value) : JSON.stringify(value);
}

/** The error for a job that was another. */
export function another(output: string, what: string, was: string, is: string): Failure {
  return new Failure(
    `Cannot go on with ${shown(output)}: its ${what} was ${was}, and is ${is} now; --restart begins anew`,
  );
}
