/** Counts the tests in what `deno test` and `bun test` print, for the table of platforms. Pure: reads nothing. */
import { stripVTControlCharacters } from "node:util";

/** How many tests of a step passed and were skipped; none of either where it has no tests. */
export interface Counts {
  readonly passed: number;
  readonly skipped: number;
}

/** What passed of a platform's package, by the names of the steps. */
export interface Tried {
  readonly date: string;
  readonly version: string;
  /** `natively`, or under what. */
  readonly how: string;
  readonly steps: Readonly<Record<string, Counts>>;
}

/** Counts the tests by the summary at the end of the output. */
export function countsOf(output: string): Counts {
  const plain = stripVTControlCharacters(output);
  const count = (...patterns: RegExp[]): number => {
    for (const pattern of patterns) {
      const last = [...plain.matchAll(pattern)].at(-1);
      if (last) return Number(last[1]);
    }
    return 0;
  };
  return {
    passed: count(/^ok \| (\d+) passed/gm, /^ +(\d+) pass$/gm),
    skipped: count(/^ok \|.* (\d+) ignored/gm, /^ +(\d+) skip$/gm),
  };
}

/** One line of words: `1,200 tests on Deno (32 skipped), the reranker on Bun`. Tests are added up by runtime. */
export function inWords({ steps }: Tried): string {
  const sums = new Map<string, Counts>();
  for (const [name, { passed, skipped }] of Object.entries(steps)) {
    const what = passed + skipped > 0 ? name.replace(/^.*(?= on (Deno|Bun)$)/, "tests") : name;
    const before = sums.get(what) ?? { passed: 0, skipped: 0 };
    sums.set(what, { passed: before.passed + passed, skipped: before.skipped + skipped });
  }
  return [...sums].map(([what, { passed, skipped }]) => {
    const number = passed > 0 && what.startsWith("tests") ? `${passed.toLocaleString("en")} ` : "";
    return `${number}${what}${skipped > 0 ? ` (${skipped} skipped)` : ""}`;
  }).join(", ");
}
