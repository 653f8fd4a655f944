/** Splits bytes into lines, with the place of each. */

/** A line of an input. */
export interface Line {
  /** Without its line break. */
  readonly bytes: Uint8Array;
  readonly start: number;
  /** The byte behind its line break. */
  readonly end: number;
  /** From 1. */
  readonly number: number;
  /** Whether it has no line break: the input ended there. */
  readonly open: boolean;
}

const BREAK = 10;
const RETURN = 13;

/**
 * The lines of what is left of an input, those of a chunk together.
 *
 * @param chunks The bytes from `offset` on.
 * @param offset Where the first line begins.
 * @param before The number of the line before it.
 * @param to Lines that begin there or later are not read.
 */
export async function* linesOf(
  chunks: AsyncIterable<Uint8Array>,
  offset: number,
  before: number,
  to: number = Infinity,
): AsyncGenerator<Line[], void, undefined> {
  let [start, number] = [offset, before];
  let pieces: Uint8Array[] = []; // of a line that has not ended
  let held = 0;
  for await (const chunk of chunks) {
    const lines: Line[] = [];
    let from = 0;
    for (let at = chunk.indexOf(BREAK); at >= 0 && start < to; at = chunk.indexOf(BREAK, from)) {
      const last = chunk.subarray(from, at);
      const bytes = pieces.length === 0 ? last : joined([...pieces, last], held + last.length);
      from = at + 1;
      const end = start + bytes.length + 1;
      lines.push({ bytes: withoutReturn(bytes), start, end, number: ++number, open: false });
      [pieces, held, start] = [[], 0, end];
    }
    if (lines.length > 0) yield lines;
    if (start >= to) return;
    if (from < chunk.length) {
      pieces.push(chunk.subarray(from));
      held += chunk.length - from;
    }
  }
  if (held === 0 || start >= to) return;
  const bytes = joined(pieces, held);
  yield [{ bytes: withoutReturn(bytes), start, end: start + held, number: number + 1, open: true }];
}

function withoutReturn(bytes: Uint8Array): Uint8Array {
  return bytes.at(-1) === RETURN ? bytes.subarray(0, -1) : bytes;
}

/** Bytes that came in pieces, as one piece. */
export function joined(pieces: readonly Uint8Array[], length: number): Uint8Array {
  if (pieces.length === 1) return pieces[0]!;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
