/** Counts the tests in what `deno test` and `bun test` print, for the table of platforms. Pure: reads nothing. */
import { stripVTControlCharacters } from "node:util";

/** How many tests of a step passed and were skipped; none of either where it has no tests. */
export interface Counts {
  readonly passed: number;
  readonly skipped: number;
}

/** What passed of a platform's package, by the names of the steps, and what did not. */
export interface Tried {
  readonly date: string;
  readonly version: string;
  /** `natively`, or under what. */
  readonly how: string;
  readonly steps: Readonly<Record<string, Counts>>;
  /** The steps that were not run, or failed. */
  readonly lacking: readonly string[];
  /** Those of them that failed when they were run last. */
  readonly failed: readonly string[];
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

/**
 * Tells the steps of now from what is noted of a library: a step that is no more does not count.
 *
 * @param names The steps of now, in order.
 */
export function summaryOf(
  names: readonly string[],
  passed: Readonly<Record<string, Counts>>,
  failed: ReadonlySet<string>,
): Pick<Tried, "steps" | "lacking" | "failed"> {
  const lacking = names.filter((name) => passed[name] === undefined);
  return {
    steps: Object.fromEntries(names.flatMap((name) => passed[name] ? [[name, passed[name]]] : [])),
    lacking,
    failed: lacking.filter((name) => failed.has(name)),
  };
}

/** What was tried of one package; where it cannot be run, whether its library was looked at. */
export function outcomeOf(tried: Tried | undefined): string {
  if (tried === undefined) return "compiled, not looked at";
  if (tried.how !== "never run") return `${tried.how}: ${inWords(tried)}`;
  return tried.lacking.length === 0 ? "compiled and looked at, never run" : `never run: ${inWords(tried)}`;
}

/**
 * One line of words: `1,200 tests on Deno (32 skipped), the reranker on Bun; 3 of 4 steps`. Tests are added up by runtime, and
 * steps that failed are named.
 */
function inWords({ steps, lacking, failed }: Tried): string {
  const sums = new Map<string, Counts>();
  for (const [name, { passed, skipped }] of Object.entries(steps)) {
    const what = passed + skipped > 0 ? name.replace(/^.*(?= on (Deno|Bun)$)/, "tests") : name;
    const before = sums.get(what) ?? { passed: 0, skipped: 0 };
    sums.set(what, { passed: before.passed + passed, skipped: before.skipped + skipped });
  }
  const words = [...sums].map(([what, { passed, skipped }]) => {
    const number = passed > 0 && what.startsWith("tests") ? `${passed.toLocaleString("en")} ` : "";
    return `${number}${what}${skipped > 0 ? ` (${skipped} skipped)` : ""}`;
  });
  const passed = Object.keys(steps).length;
  const all = passed + lacking.length;
  const failures = failed.length > 0 ? [`FAILED: ${failed.join(", ")}`] : [];
  return [words.join(", "), ...failures, `${passed} of ${all} steps`].filter(Boolean).join("; ");
}
