/** Makes vectors of a batch of rows: finds those that cannot be embedded first, then makes one call of the rest. */
import type { Llama } from "@llamasaur/llamasaur";
import { Failure } from "../failure.ts";
import { quoted, shown } from "../quote.ts";
import { type Column, fits } from "../data/columns.ts";
import type { OutputRow } from "../data/output.ts";
import type { Problem, Row } from "../data/rows.ts";
import type { Batch } from "../data/source.ts";
import type { Settings } from "./settings.ts";

/** A row that was left out, as the errors file has it. */
export interface Skipped extends Problem {
  readonly file: string;
  readonly line: number;
  readonly id: unknown;
}

/** What became of a batch. */
export interface Embedded {
  readonly rows: readonly OutputRow[];
  readonly skipped: readonly Skipped[];
  readonly truncated: number;
  readonly tokens: number;
}

/** How a batch is embedded. */
export interface Embedder {
  readonly llama: Llama;
  readonly settings: Settings;
  readonly columns: readonly Column[];
  readonly signal: AbortSignal;
}

/**
 * Embeds a batch by one call.
 *
 * @param onProgress Told how many texts of the call are done, and their tokens.
 * @throws {Failure} of the first row that cannot be embedded, unless such rows are skipped.
 */
export async function embedBatch(
  { llama, settings, columns, signal }: Embedder,
  batch: Batch,
  onProgress: (done: number, tokens: number) => void,
): Promise<Embedded> {
  const fitting = fitOf(settings, columns);
  const problems = batch.rows.map(({ row }) => row.problem ?? fitting(row));
  await findTooLong(llama, settings, batch, problems);
  const skipped: Skipped[] = [];
  for (let i = 0; i < batch.rows.length; i++) {
    const problem = problems[i];
    if (problem === undefined) continue;
    const { row, file } = batch.rows[i]!;
    if (settings.onError === "stop") throw stopped(file, row, problem);
    skipped.push({ file, line: row.line, id: idOf(row), ...problem });
  }
  const good = batch.rows.filter((_, i) => problems[i] === undefined).map(({ row }) => row);
  const embedded = good.length === 0 ? [] : await llama.embedDetailed(good.map(({ text }) => text!), {
    ...settings.embed,
    signal,
    onProgress: ({ done, tokens }) => onProgress(done, tokens),
  });
  const rows = good.map(({ id, kept }, i): OutputRow => ({ id: id!, kept, ...embedded[i]! }));
  return {
    rows,
    skipped,
    truncated: rows.filter(({ truncated }) => truncated).length,
    tokens: rows.reduce((sum, { tokens }) => sum + tokens, 0),
  };
}

/** Says what of a row does not fit the output's columns, which the first rows decided. */
function fitOf({ reading: { id: idName = "id", keep } }: Settings, columns: readonly Column[]) {
  const [first, ...others] = columns as [Column, ...Column[]];
  const names = new Set(others.map(({ name }) => name));
  const problem = (name: string): Problem => {
    return { code: "misfit", message: `has a value of ${quoted(name)} that does not fit its column of the output` };
  };
  return ({ id, kept }: Row): Problem | undefined => {
    if (!fits(id, first)) return problem(idName);
    const wrong = others.find((column) => !fits(kept[column.name], column));
    if (wrong) return problem(wrong.name);
    const unknown = keep === "all" ? Object.keys(kept).find((name) => !names.has(name)) : undefined;
    if (unknown === undefined) return undefined;
    return { code: "misfit", message: `has a field ${quoted(unknown)} that the first rows do not have` };
  };
}

/** Finds texts with more tokens than the model takes, where that is an error; the call itself would tell of one alone. */
async function findTooLong(
  llama: Llama,
  { embed }: Settings,
  { rows }: Batch,
  problems: (Problem | undefined)[],
): Promise<void> {
  if (embed.truncate !== "error") return;
  const prompt = embed.prompt ?? promptOf(llama, embed.inputType);
  const indices = rows.keys().filter((i) => problems[i] === undefined).toArray();
  const counts = await llama.countTokens(indices.map((i) => prompt + rows[i]!.row.text!));
  for (const [n, i] of indices.entries()) {
    const count = counts[n]!;
    if (count <= llama.info.maxTokens) continue;
    problems[i] = { code: "too-long", message: `has ${count} tokens, and the model takes ${llama.info.maxTokens}` };
  }
}

/** The model's own prompt before a text. */
export function promptOf({ info }: Llama, inputType: "query" | "document" | undefined): string {
  return inputType === undefined ? "" : info.prompts?.[inputType] ?? "";
}

function stopped(file: string, row: Row, { message }: Problem): Failure {
  const remedy = "--on-error skip goes on without such rows";
  return new Failure(`Cannot embed ${shown(file)}:${row.line}: it ${message}; ${remedy}`);
}

function idOf({ id }: Row): unknown {
  return typeof id === "bigint" ? id.toString() : id ?? null;
}
