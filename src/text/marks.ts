/** Puts long runs of combining marks into canonical order: the runtimes' `normalize` takes a time that grows with a run's square. */

// Shorter ones cost less where they are.
const LONG_RUN = /\p{M}{64,}/gu;
// Of the lowest and of the highest class above 0: what has a class changes places with one of them.
const [LOWEST, HIGHEST] = ["\u0334", "\u0345"];

/** A text that is canonically equivalent, whose long runs of marks are decomposed and in order. */
export function orderMarks(text: string): string {
  return text.replace(LONG_RUN, (run) => {
    const decomposed = new Map([...new Set(run)].map((mark) => [mark, [...mark.normalize("NFD")]]));
    const marks = [...run].flatMap((mark) => decomposed.get(mark)!);
    const classes = classesOf(new Set(marks));
    const ordered: string[] = [];
    let segment: string[][] = [];
    for (const mark of marks) {
      const place = classes.get(mark);
      if (place !== undefined) (segment[place] ??= []).push(mark);
      if (place !== undefined) continue;
      ordered.push(...segment.map((same) => same.join("")), mark); // nothing moves over a starter
      segment = [];
    }
    return ordered.concat(segment.map((same) => same.join(""))).join("");
  });
}

/** The place of each mark's class among those that are here; none for a mark that others do not move over. */
function classesOf(marks: ReadonlySet<string>): ReadonlyMap<string, number> {
  const movable = [...marks].filter((mark) => mark === HIGHEST || precedes(LOWEST, mark) || precedes(mark, HIGHEST));
  movable.sort((a, b) => precedes(a, b) ? -1 : precedes(b, a) ? 1 : 0);
  let place = 0;
  return new Map(movable.map((mark, i) => {
    if (i > 0 && precedes(movable[i - 1]!, mark)) place++;
    return [mark, place];
  }));
}

/** Whether canonical order has a mark before another: of two of one class, and of a starter, it leaves the order. */
function precedes(first: string, second: string): boolean {
  return first !== second && (second + first).normalize("NFD") === first + second;
}
