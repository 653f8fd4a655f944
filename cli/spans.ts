/** Reads spans of time: `500ms`, `2s`, `5m`, `1h`. */
import { UsageError } from "./failure.ts";
import { quoted } from "./quote.ts";

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const MOST = 2 ** 31 - 1; // of a timer

/** The milliseconds of a span; undefined if it is none. */
export function millisecondsOf(value: string): number | undefined {
  const [, number = "", unit = ""] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(value) ?? (value === "0" ? ["", "0", "s"] : []);
  const span = Math.round(Number(number) * (UNITS[unit] ?? NaN));
  return number !== "" && span <= MOST ? span : undefined;
}

/** Reads a span as milliseconds. */
export function span(name: string): (value: string) => number {
  return (value) => {
    const found = millisecondsOf(value);
    if (found !== undefined) return found;
    throw new UsageError(`Cannot read ${name} ${quoted(value)}: it must be a span of time such as 500ms, 2s, 5m or 1h`);
  };
}
