// How near our kernels come to what the processor can do, operator by operator of one layer of MiniLM: `deno task bench:operators [options]`
//   --types LIST    of weights (default: f32,bf16,f16,q8_0)
//   --seconds S     that each figure may take (default: 0.2)
//   --write         keeps the figures in bench/results/operators-CLASS.json, for `deno task docs`
// Every instruction set that the processor has takes part, so that AVX2's kernels are seen on a processor with more, too. One
// core, processor time, the best of many runs (bench/operators.cpp). Prints a Markdown table.
import { execFile } from "node:child_process";
import { parseArgs, promisify } from "node:util";
import { build } from "../../build/mod.ts";
import { describeMachine } from "../machine.ts";
import { type Figures, keepByClass, noted } from "../noted.ts";
import { machineLine, table } from "../report.ts";

/** A peak, or one kind of operators in one kind of work. */
interface Line {
  readonly kernels: string;
  readonly instruction?: string;
  readonly peak?: number;
  readonly type?: string;
  readonly work?: string;
  readonly rows?: number;
  readonly part?: string;
  readonly us?: number;
  readonly share?: number;
  readonly of_peak?: number;
}

const PARTS = ["products", "attention", "gelu", "norm"];

/** A row for each instruction set, type and work: what each kind of operators takes, and which part of its peak that is. */
function figuresOf(lines: readonly Line[], types: readonly string[]): Figures {
  const peaks = lines.filter(({ peak }) => peak !== undefined);
  const measured = lines.filter(({ type }) => type !== undefined && types.includes(type));
  const groups = Map.groupBy(measured, ({ kernels, type, work }) => [kernels, type, work].join());
  const rows = [...groups.values()].map((group) => {
    const { kernels, type, work, rows } = group[0]!;
    const parts = PARTS.map((name) => group.find(({ part }) => part === name)!);
    const products = parts[0]!;
    const peak = peaks.find((one) => one.kernels === kernels && one.instruction === products.instruction);
    return [
      kernels,
      type!,
      `${work}, ${rows} tokens`,
      ...parts.map(({ us, share }) => `${us!.toFixed(0)} µs, ${(100 * share!).toFixed(0)} %`),
      peak ? `${products.instruction}, ${peak.peak!.toFixed(0)}` : "",
      ...[products, parts[1]!].map(({ of_peak: part }) => part === undefined ? "" : `${(100 * part).toFixed(0)} %`),
    ];
  });
  const columns = ["kernels", "weights", "a pass of", ...PARTS, "peak, G/s", "products of it", "attention of its own"];
  return { columns, rows, words: 3 };
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      types: { type: "string", default: "f32,bf16,f16,q8_0" },
      seconds: { type: "string", default: "0.2" },
      write: { type: "boolean", default: false },
    },
  });
  const machine = describeMachine();
  const { path } = await build({ target: "operators", onLine: () => {} });
  const { stdout } = await promisify(execFile)(path, [values.seconds]);
  const lines = stdout.trim().split("\n").map((line) => JSON.parse(line) as Line);
  const found = figuresOf(lines, values.types.split(","));
  console.log(`${machineLine(machine)}\n\n${table(found.columns, found.rows, found.words)}`);
  const method =
    "one layer of MiniLM on one core, processor time, the best of many runs; peaks in G products a second, by a loop " +
    "of the instruction alone";
  if (values.write) {
    const command = `deno task bench:operators --seconds ${values.seconds} --write`;
    keepByClass("operators", machine, noted(command, machine, method, found));
  }
}

if (import.meta.main) await main();
