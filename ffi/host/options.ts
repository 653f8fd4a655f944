/** Reads the options of a call: refuses those that do not exist, checks the others, and copies what it checked. */

import { printable } from "./printable.ts";

/** Checks an option that was given. Returns it as it is used, or throws an error that names it, its value and the remedy. */
export type Check<T> = (name: string, value: unknown) => T;

/** The check of each option, by the option's name. */
export type Checks<Options> = { readonly [K in keyof Required<Options>]: Check<Exclude<Options[K], undefined>> };

/** Checked options: every name is there, an option that was not given as undefined. */
export type Checked<Options> = { readonly [K in keyof Required<Options>]: Options[K] | undefined };

type Values = { readonly [name: string]: unknown };

const SHOWN = 40; // characters of a name in a message

/**
 * Checks and copies options. Each is read once: an object that changes, or whose getters do, cannot bring in what was not
 * checked. An option that is undefined counts as not given; options of a prototype, as classes have them, count as given.
 *
 * @param options An object; whoever calls has checked that.
 * @param checks What each option must be; there are no other options.
 * @throws {TypeError} when an own enumerable property is none of the options; the message names it and the nearest one.
 */
export function readOptions<Options extends object>(options: Options, checks: Checks<Options>): Checked<Options> {
  const values = options as Values;
  const known = Object.keys(checks);
  for (const name of Object.keys(values)) {
    if (!known.includes(name) && values[name] !== undefined) throw unknownOption(name, known);
  }
  const read: Record<string, unknown> = {};
  for (const [name, check] of Object.entries<Check<unknown>>(checks)) {
    const value = values[name];
    read[name] = value === undefined ? undefined : check(name, value);
  }
  return read as Checked<Options>;
}

function unknownOption(name: string, known: readonly string[]): TypeError {
  const near = nearest(name, known);
  const guess = near === undefined ? ";" : `, did you mean "${near}"?`;
  return new TypeError(
    `Cannot read options: "${printable(name, undefined, SHOWN)}" is not known${guess} the options are ${
      known.join(", ")
    }`,
  );
}

/** The known name with the fewest edits from a name, upper and lower case being one; undefined when none is near. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  if (name.length > SHOWN) return undefined;
  let best: string | undefined;
  let fewest = Infinity;
  for (const other of known) {
    const count = edits(name.toLowerCase(), other.toLowerCase());
    if (count < fewest) [best, fewest] = [other, count];
  }
  return fewest <= Math.max(1, 0.4 * Math.max(name.length, best?.length ?? 0)) ? best : undefined;
}

/** Characters to insert, delete or replace until a word is another: Levenshtein's distance, one row of its table at a time. */
function edits(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, i) => i);
  for (let i = 0; i < from.length; i++) {
    const above = row;
    row = [i + 1];
    for (let j = 0; j < to.length; j++) {
      const replaced = above[j]! + (from[i] === to[j] ? 0 : 1);
      row.push(Math.min(replaced, above[j + 1]! + 1, row[j]! + 1));
    }
  }
  return row[to.length]!;
}
