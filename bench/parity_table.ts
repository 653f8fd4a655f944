// The figures of `deno task parity`: what bench/results/parity.json keeps of them, and the table that is printed.
import type { Machine } from "./machine.ts";
import { STATUSES } from "./parity_statuses.ts";
import type { Near, TypeRow } from "./parity_types.ts";

/** How near one family comes to its original with one type of weights, rounded as it is printed. */
export interface ParityRow {
  readonly family: string;
  readonly weights: string;
  /** Texts or pairs whose token ids equal the original's; absent where only the logits can tell. */
  readonly tokens?: { readonly equal: number; readonly of: number };
  /** Of each vector to the original's; absent for rerankers. */
  readonly cosine?: { readonly min: number; readonly mean: number };
  /** The largest difference of a number of a vector, or of a logit. */
  readonly maxAbs: number;
  /** The original's greatest logit minus its least; absent for embedders. */
  readonly range?: number;
  /** Spearman's rank correlation of the order of results. */
  readonly rank: number;
  /** The figures that are beyond their limit. */
  readonly beyond: readonly ("tokens" | "cosine" | "maxAbs" | "rank")[];
}

/** A run of `deno task parity`. */
export interface Parity {
  readonly command: string;
  readonly date: string;
  readonly commit: string;
  readonly machine: Machine;
  readonly rows: readonly ParityRow[];
  readonly types: readonly TypeRow[];
}

/**
 * Holds f32 weights against what is noted of them: none may be more than twice as far from the original.
 *
 * @returns A line for each family that is, and for each that was not measured.
 */
export function fartherThanNoted(rows: readonly ParityRow[], noted: readonly ParityRow[]): string[] {
  return noted.filter(({ weights }) => weights === "f32").flatMap(({ family, maxAbs }) => {
    const row = rows.find((one) => one.family === family && one.weights === "f32");
    if (row === undefined) return [`${family} with f32 weights was not measured`];
    const within = row.maxAbs <= 2 * maxAbs; // not beyond, which NaN is not either
    return within ? [] : [`${family} with f32 weights is off by ${row.maxAbs}, and ${maxAbs} is noted`];
  });
}

/** Every figure in Markdown, those beyond their limit in bold, then what becomes of the families that were not measured. */
export function parityTable(rows: readonly ParityRow[]): string {
  return [
    line("family", "weights", "tokens equal", "cosine min / mean", "max abs of vectors or logits", "rank agreement"),
    line(...Array<string>(6).fill("---")),
    ...rows.map((row) => line(row.family, row.weights, ...cells(row))),
    "",
    line("not measured", "is", "because"),
    line("---", "---", "---"),
    ...STATUSES.map(({ family, status, why }) => line(family, status, why)),
  ].join("\n");
}

/** How near each type of weights comes to the original, and ours and llama.cpp's to the file's own weights. */
export function typeTable(rows: readonly TypeRow[]): string {
  const near = ({ cosine, maxAbs }: Near) => `${cosine.toFixed(7)}, ${maxAbs.toExponential(1)}`;
  const columns = ["family", "weights", "to the original", "to its own weights in f32", "llama.cpp to them"];
  return [
    line(...columns),
    line(...columns.map(() => "---")),
    ...rows.map(({ family, weights, original, ours, stock, beyond }) =>
      line(family, weights, near(original), beyond ? `**${near(ours)}**` : near(ours), near(stock))
    ),
  ].join("\n");
}

function cells({ tokens, cosine, maxAbs, range, rank, beyond }: ParityRow): string[] {
  const bold = (text: string, figure: typeof beyond[number]) => beyond.includes(figure) ? `**${text}**` : text;
  const off = maxAbs.toExponential(1);
  return [
    bold(tokens ? `${tokens.equal} of ${tokens.of}` : "as the logits show", "tokens"),
    bold(cosine ? `${cosine.min.toFixed(7)} / ${cosine.mean.toFixed(7)}` : "", "cosine"),
    bold(range === undefined ? off : `${off} of ${range.toFixed(1)}`, "maxAbs"),
    bold(rank.toFixed(4), "rank"),
  ];
}

function line(...cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}
