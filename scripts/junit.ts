// Counts of a test run, from the JUnit report that it wrote or from its last line.

/** How many tests went which way. */
export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/** The totals of a report by `deno test --junit-path` (skipped tests: `disabled` of each suite) or `bun test --reporter=junit`. */
export function junitCounts(xml: string): Counts {
  const root = xml.match(/<testsuites\b[^>]*>/)?.[0];
  if (root === undefined) throw new SyntaxError("Cannot read the JUnit report: it has no <testsuites>");
  const disabled = [...xml.matchAll(/<testsuite\b[^>]*>/g)].map(([suite]) => attribute(suite, "disabled"));
  const skipped = attribute(root, "skipped") + disabled.reduce((sum, count) => sum + count, 0);
  const failed = attribute(root, "failures") + attribute(root, "errors");
  return { passed: attribute(root, "tests") - failed - skipped, failed, skipped };
}

/** The sum of several counts. */
export function sum(counts: readonly Counts[]): Counts {
  const total = { passed: 0, failed: 0, skipped: 0 };
  for (const { passed, failed, skipped } of counts) {
    total.passed += passed;
    total.failed += failed;
    total.skipped += skipped;
  }
  return total;
}

/** The line that a test run ends with: `3 passed, 0 failed`, and the skipped ones if there are any. */
export function summary({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed` + (skipped > 0 ? `, ${skipped} skipped` : "");
}

/** The counts of an output's last line, if that is a {@link summary}. */
export function summaryCounts(output: string): Counts | undefined {
  const last = output.trimEnd().split("\n").at(-1) ?? "";
  const [, passed, failed, skipped = "0"] = /^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/.exec(last) ?? [];
  if (passed === undefined) return undefined;
  return { passed: Number(passed), failed: Number(failed), skipped: Number(skipped) };
}

function attribute(element: string, name: string): number {
  return Number(element.match(new RegExp(`\\s${name}="(\\d+)"`))?.[1] ?? 0);
}
