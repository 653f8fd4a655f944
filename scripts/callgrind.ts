// Instructions by function, from a profile of callgrind: https://valgrind.org/docs/manual/cl-format.html
// The profile is one written with --compress-strings=no --compress-pos=no.

/** Instructions by the name of a part. */
export type Tally = Readonly<Record<string, number>>;

/** All calls of one function from one place in another, and what they took together, callees included. */
interface Calls {
  readonly from: string;
  readonly to: string;
  readonly instructions: number;
}

/** Of a part's instructions, as a share; two counts of the same program are nearer than a thousandth of it. */
const TOLERANCE = 0.02;
/** A lock that another thread holds takes some hundred instructions more: they weigh in the smallest parts. */
const LOCKS = 500;

/**
 * Counts parts of a program.
 *
 * @param parts The functions whose calls make up each part, callees included.
 * @throws {Error} A part's functions were not called: they have other names now.
 */
export function tally(profile: string, parts: Readonly<Record<string, RegExp>>): Tally {
  const calls = callsOf(profile);
  return Object.fromEntries(
    Object.entries(parts).map(([name, functions]) => {
      const counted = calls.filter(({ from, to }) => functions.test(to) && !functions.test(from));
      if (counted.length === 0) throw new Error(`The profile has no call of ${functions} for "${name}"`);
      return [name, counted.reduce((sum, { instructions }) => sum + instructions, 0)];
    }),
  );
}

/** The parts that take more than before. */
export function slower(now: Tally, before: Tally): string[] {
  return Object.keys(now).filter((name) => {
    const limit = Math.max((before[name] ?? 0) * (1 + TOLERANCE), (before[name] ?? 0) + LOCKS);
    return now[name]! > limit;
  });
}

/** The counts as Markdown. */
export function table(now: Tally, before: Tally | undefined): string {
  const names = Object.keys(now);
  const width = Math.max(...names.map((name) => name.length));
  const row = (name: string, ...cells: string[]): string =>
    `| ${name.padEnd(width)} | ${cells.map((cell) => cell.padStart(10)).join(" | ")} |`;
  const thousand = (n: number | undefined): string => n === undefined ? "" : (n / 1e3).toFixed(1);
  return [
    row("thousand instructions", "now", "committed", "change"),
    `| ${"-".repeat(width)} | ${"---------: | ".repeat(3)}`.trimEnd(),
    ...names.map((name) => {
      const change = before?.[name] && `${((now[name]! / before[name] - 1) * 100).toFixed(2)} %`;
      return row(name, thousand(now[name]), thousand(before?.[name]), change || "");
    }),
  ].join("\n");
}

function callsOf(profile: string): Calls[] {
  const calls: Calls[] = [];
  let from = "";
  let to: string | undefined;
  let counted = false;
  for (const line of profile.split("\n")) {
    if (counted) { // the line behind "calls=": a position and the cost
      calls.push({ from, to: to ?? from, instructions: Number(line.split(" ")[1]) });
      counted = false;
      to = undefined;
    } else if (line.startsWith("fn=")) from = nameOf(line.slice(3));
    else if (line.startsWith("cfn=")) to = nameOf(line.slice(4));
    else if (line.startsWith("calls=")) counted = true;
  }
  return calls;
}

/** Without the depth of a recursion: callgrind calls the second call of `f` in itself `f'2`. */
function nameOf(text: string): string {
  return text.replace(/'\d+$/, "");
}
