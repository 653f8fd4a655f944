// Finds in what a run of tests printed the part that says what failed.
import { stripVTControlCharacters } from "node:util";

const LINES_BEFORE = 30; // Bun shows an error, its code and its stack above the line with the test's name
const LINES_AT_END = 40; // of a program that is neither Deno's nor Bun's test runner
const MOST_LINES = 120;
/** How Bun begins the line of a test: the signs are those of a terminal with colours. */
const BUN_TEST = /^(\((pass|fail|skip)\)|[✓✗»]) /;
const BUN_FAILED = /^(\(fail\)|✗) /;

/** The errors of `deno test`, of `bun test`, or else the end of `output`: at most 120 lines, without colours. */
export function failures(output: string): string {
  const lines = stripVTControlCharacters(output).trimEnd().split("\n");
  const errors = lines.findLastIndex((line) => line.trim() === "ERRORS");
  const found = errors >= 0 ? lines.slice(errors) : bunFailures(lines);
  const shown = found.length > 0 ? found : lines.slice(-LINES_AT_END);
  const rest = shown.length - MOST_LINES;
  return [...shown.slice(0, MOST_LINES), ...(rest > 0 ? [`… ${rest} lines more`] : [])].join("\n");
}

/** Each line of a test that failed, with what stands above it, as far as the line of the test before. */
function bunFailures(lines: readonly string[]): string[] {
  return lines.flatMap((line, end) => {
    if (!BUN_FAILED.test(line) || lines.indexOf(line) < end) return []; // Bun repeats the names at its end
    const before = lines.slice(Math.max(0, end - LINES_BEFORE), end);
    return [...before.slice(before.findLastIndex((above) => BUN_TEST.test(above)) + 1), line];
  });
}
