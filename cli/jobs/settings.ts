/** Holds what a job was asked to do, and compares it with what an earlier process was asked. */
import { createHash } from "node:crypto";
import type { EmbedOptions } from "@llamasaur/llamasaur";
import { Failure } from "../failure.ts";
import type { Reading } from "../data/rows.ts";
import { shown } from "../quote.ts";

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

/** What changes the output, as the journal has it. Of texts only a hash is kept: they are not for logs and errors. */
export function fixedOptions(settings: Settings): Record<string, unknown> {
  const { output: _, embed, reading, ...rest } = settings;
  const { texts } = settings;
  const sha256 = createHash("sha256").update(JSON.stringify(texts)).digest("hex");
  const told = texts.length > 0 ? [`${texts.length} of sha256 ${sha256}`] : [];
  return JSON.parse(JSON.stringify({ ...rest, texts: told, ...reading, ...embed }));
}

/**
 * Refuses to go on with a job that was another.
 *
 * @throws {Failure} naming the first difference, with both values.
 */
export function compareOptions(
  output: string,
  before: Readonly<Record<string, unknown>>,
  now: Readonly<Record<string, unknown>>,
): void {
  for (const name of new Set([...Object.keys(before), ...Object.keys(now)])) {
    const [was, is] = [before[name], now[name]].map((value) =>
      value === undefined ? "not given" : JSON.stringify(value)
    );
    if (was !== is) throw another(output, flagOf(name, now["format"]), was!, is!);
  }
}

/** An option as it is typed. */
function flagOf(name: string, format: unknown): string {
  if (name === "groupRows") return format === "parquet" ? "--row-group" : "--checkpoint";
  if (name === "texts") return "--text";
  if (name === "inputs" || name === "normalize") return name;
  return `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** The error for a job that was another. */
export function another(output: string, what: string, was: string, is: string): Failure {
  return new Failure(
    `Cannot go on with ${shown(output)}: its ${what} was ${was}, and is ${is} now; --restart begins anew`,
  );
}
