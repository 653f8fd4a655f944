/** Writes float32 numbers in the fewest digits that give them back. */

const POWERS = Float64Array.from({ length: 60 }, (_, i) => Number(`1e${i}`));
const PARTS = Float64Array.from({ length: 60 }, (_, i) => Number(`1e-${i}`));
const ZERO = 48;
const [MINUS, POINT, COMMA, EXPONENT] = [45, 46, 44, 101];
/** Bytes that one number takes at most, with a comma: a minus, 21 digits and a point. */
const WIDEST = 24;

/** Half the distance of two float32, by the exponent's bits. */
const HALF = Float64Array.from({ length: 256 }, (_, i) => 2 ** (Math.max(i, 1) - 151));
const ABOVE = 1 + 1e-6;
const BELOW = 1 - 1e-6;

const UP = 1 + 2 ** -50;
const DOWN = 1 - 2 ** -50;

/** The exponent's bits of float32 between 2^-19 and 1: those whose first six places behind the point may be zeros, and no more. */
const SMALLEST = 108, LARGEST = 126;
/** The place of the first digit of 2^(i - 127), for those. */
const FIRST = Int32Array.from({ length: LARGEST + 1 }, (_, i) => Math.floor(Math.log10(2 ** (i - 127))));
/** Four digits each of 0 to 9999, as a little-endian word. */
const FOURS = new Uint32Array(10_000);
const fours = new Uint8Array(FOURS.buffer);
for (let i = 0; i < fours.length; i++) fours[i] = ZERO + Math.floor((i >>> 2) / [1000, 100, 10, 1][i & 3]!) % 10;

// Scratch of one number at a time. Its size goes from function to function here: as an argument V8 made an object of it, and
// such objects were two thirds of a job's garbage (12 KB of 18 KB a row of 384 numbers).
const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);
const digits = new Uint8Array(10);
let count = 0;

/**
 * Writes numbers with commas between them.
 *
 * A float32 needs at most nine digits. Those that are enough are found by trying: the number times a power of ten, rounded,
 * and divided by it again, must be the same float32. Both the power and the rounded number are exact doubles up to 1e22,
 * so the quotient is the double nearest to the decimal. That double may lie so near the middle of two float32 that the
 * decimal itself is on the other side: `isSafe` refuses those, and takes a digit more.
 *
 * @param numbers Finite numbers.
 * @param to Receives ASCII; has room for {@linkcode widthOf} of them behind `at`.
 * @returns The index behind the last byte.
 */
export function writeFloats(numbers: Float32Array, to: Uint8Array, at: number): number {
  const words = new Uint32Array(numbers.buffer, numbers.byteOffset, numbers.length);
  const view = new DataView(to.buffer, to.byteOffset, to.byteLength);
  for (let i = 0; i < numbers.length; i++) {
    if (i > 0) to[at++] = COMMA;
    const end = writeCommon(Math.abs(numbers[i]!), words[i]!, to, view, at);
    if (end > at) at = end;
    else {
      float[0] = numbers[i]!;
      at = writeFloat(to, at);
    }
  }
  return at;
}

/** Bytes that so many numbers take at most. */
export function widthOf(count: number): number {
  return count * WIDEST;
}

/**
 * Writes a number below one that needs seven digits or eight, as nine of ten numbers of a vector do; of another it writes nothing.
 *
 * What is less than half the distance of two float32 away from the number rounds to it. The power of ten is an exact double,
 * and so near to the half that a double cannot tell nothing is decided here. A power of two is left out: its neighbours are not
 * equally far.
 *
 * 384 numbers take half the time that each digit by a division took, on Deno and on Bun: of a job of titles those were 5 % of
 * the processor's time, in which no lane computed.
 *
 * @param size The number without its sign.
 * @param word Its bits, with the sign.
 * @returns The index behind the last byte, or `at`.
 */
function writeCommon(size: number, word: number, to: Uint8Array, view: DataView, at: number): number {
  const binary = word >>> 23 & 255;
  if (binary < SMALLEST || binary > LARGEST || (word & 0x7fffff) === 0) return at;
  let exponent = FIRST[binary]!;
  if (size >= PARTS[-1 - exponent]!) exponent++;
  const power = POWERS[8 - exponent]!;
  const nine = size * power;
  const half = HALF[binary]! * power;
  const [near, far] = [half * BELOW, half * ABOVE];
  let eight = round(nine / 10);
  if (Math.abs(eight * 10 - nine) > near) return at;
  let end = 8;
  const seven = round(nine / 100);
  const away = Math.abs(seven * 100 - nine);
  if (away <= far) {
    if (away > near || Math.abs(round(nine / 1000) * 1000 - nine) <= far) return at;
    eight = seven * 10;
    end = 7;
  }
  if (word >>> 31 === 1) to[at++] = MINUS;
  to[at++] = ZERO;
  to[at++] = POINT;
  for (; exponent < -1; exponent++) to[at++] = ZERO;
  const first = (eight / 10_000) | 0;
  view.setUint32(at, FOURS[first]!, true);
  view.setUint32(at + 4, FOURS[eight - 10_000 * first]!, true);
  return at + end;
}

/** Of a number above 0 and below 2^31. */
function round(number: number): number {
  return (number + 0.5) | 0;
}

/** Writes the number in `float`, which becomes its size. */
function writeFloat(to: Uint8Array, at: number): number {
  if (bits[0]! >>> 31 === 1) {
    to[at++] = MINUS;
    bits[0]! &= 0x7fffffff;
  }
  if (bits[0] === 0) {
    to[at] = ZERO;
    return at + 1;
  }
  let exponent = exponentOf();
  let whole = shortest(exponent);
  if (whole >= POWERS[count]!) { // rounded up to the next power of ten
    whole /= 10;
    exponent++;
  }
  return writeDecimal(whole, count, exponent, to, at);
}

/** The fewest digits that give the number back, as a whole number; `count` tells how many. */
function shortest(exponent: number): number {
  count = 7; // most have eight
  let whole = tried(exponent, count);
  for (let fewer = whole; fewer !== 0 && count > 1;) {
    fewer = tried(exponent, count - 1);
    if (fewer !== 0) [whole, count] = [fewer, count - 1];
  }
  while (whole === 0) whole = tried(exponent, ++count);
  return whole;
}

/** The first `count` digits of the number, as a whole number below 2^31, if they give the number back; else 0. */
function tried(exponent: number, count: number): number {
  const shift = count - 1 - exponent; // behind the point
  const whole = Math.round(scaled(float[0]!, shift)) | 0;
  if (count >= 9 || isBack(whole, shift)) return whole;
  // Above a power of two its neighbours are twice as far apart as below: the next decimal may do where the nearest does not.
  return isPowerOfTwo() && isBack(whole + 1, shift) ? whole + 1 : 0;
}

function isBack(whole: number, shift: number): boolean {
  const back = scaled(whole, -shift);
  const size = float[0]!;
  // A whole number below 2^53 is itself as a double, also in the middle.
  return Math.fround(back) === size && (shift <= 0 && back < 2 ** 53 || isSafe(back, size));
}

function isPowerOfTwo(): boolean {
  return (bits[0]! & 0x7fffff) === 0;
}

/** Whether a double that rounds to a float32 is far enough from where it would round to another. */
function isSafe(double: number, float: number): boolean {
  return Math.fround(double * UP) === float && Math.fround(double * DOWN) === float;
}

function scaled(number: number, shift: number): number {
  if (shift < 0) return number / power(-shift);
  return shift <= 22 ? number * POWERS[shift]! : number * POWERS[22]! * power(shift - 22);
}

/** Of the first digit. */
function exponentOf(): number {
  const size = float[0]!;
  if (size < 1 && size >= 1e-7) { // most numbers of a vector
    let exponent = -1;
    while (size < PARTS[-exponent]!) exponent--;
    return exponent;
  }
  const near = Math.floor(Math.log10(size)); // one off at most
  if (size >= power(near + 1)) return near + 1;
  return size < power(near) ? near - 1 : near;
}

function power(exponent: number): number {
  return exponent >= 0 ? POWERS[exponent]! : PARTS[-exponent]!;
}

/** Writes `whole`, of so many digits, the first of which counts 10^exponent. */
function writeDecimal(whole: number, count: number, exponent: number, to: Uint8Array, at: number): number {
  for (let i = count - 1; i >= 0; i--) {
    const rest = (whole / 10) | 0;
    digits[i] = ZERO + whole - rest * 10;
    whole = rest;
  }
  while (count > 1 && digits[count - 1] === ZERO) count--;
  if (exponent < -6 || exponent > 20) return writeScientific(count, exponent, to, at);
  if (exponent < 0) {
    to[at++] = ZERO;
    to[at++] = POINT;
    for (let i = -1; i > exponent; i--) to[at++] = ZERO;
  }
  for (let i = 0; i < count; i++) {
    if (exponent >= 0 && i === exponent + 1) to[at++] = POINT;
    to[at++] = digits[i]!;
  }
  for (let i = count; i <= exponent; i++) to[at++] = ZERO;
  return at;
}

function writeScientific(count: number, exponent: number, to: Uint8Array, at: number): number {
  to[at++] = digits[0]!;
  if (count > 1) to[at++] = POINT;
  for (let i = 1; i < count; i++) to[at++] = digits[i]!;
  to[at++] = EXPONENT;
  if (exponent < 0) to[at++] = MINUS;
  const size = Math.abs(exponent);
  if (size >= 10) to[at++] = ZERO + Math.floor(size / 10);
  to[at++] = ZERO + size % 10;
  return at;
}
