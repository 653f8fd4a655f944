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
  for (let i = 0; i < numbers.length; i++) {
    if (i > 0) to[at++] = COMMA;
    float[0] = numbers[i]!;
    at = writeFloat(to, at);
  }
  return at;
}

/** Bytes that so many numbers take at most. */
export function widthOf(count: number): number {
  return count * WIDEST;
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
  const isPlain = exponent > -14 && exponent < 9 && !isPowerOfTwo();
  let whole = isPlain ? shortest(exponent) : shortestTried(exponent);
  if (whole >= POWERS[count]!) { // rounded up to the next power of ten
    whole /= 10;
    exponent++;
  }
  return writeDecimal(whole, count, exponent, to, at);
}

/**
 * The fewest digits that give the number back, as a whole number; `count` tells how many. What is less than half the distance
 * of two float32 away rounds to the number. Only what is so near to the half that a double cannot tell is tried. The number
 * is no power of two, whose neighbours are not equally far, and 10^(8 - exponent) is an exact double.
 *
 * 384 numbers of a vector take 20 µs on Deno and 18 on Bun where trying each count of digits took 24 and 23 (Xeon); of a
 * single query's way through the server that was a fifth.
 */
function shortest(exponent: number): number {
  const shift = 8 - exponent;
  const nine = shift >= 0 ? float[0]! * POWERS[shift]! : float[0]! / POWERS[-shift]!;
  const half = HALF[bits[0]! >>> 23]! * (shift >= 0 ? POWERS[shift]! : PARTS[-shift]!);
  let whole = Math.round(nine) | 0;
  count = 9;
  for (let unit = 10; count > 1; unit *= 10) {
    const fewer = Math.round(nine / unit);
    const far = Math.abs(fewer * unit - nine);
    if (far > half * ABOVE || far > half * BELOW && tried(exponent, count - 1) === 0) break;
    whole = fewer | 0;
    count--;
  }
  return whole;
}

/** As `shortest`, of any number. */
function shortestTried(exponent: number): number {
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
  if (exponent < 0 && exponent >= -6) return writeFraction(whole, count, exponent, to, at);
  for (let i = count - 1; i >= 0; i--) {
    const rest = (whole / 10) | 0;
    digits[i] = ZERO + whole - rest * 10;
    whole = rest;
  }
  while (count > 1 && digits[count - 1] === ZERO) count--;
  if (exponent < -6 || exponent > 20) return writeScientific(count, exponent, to, at);
  for (let i = 0; i < count; i++) {
    if (i === exponent + 1) to[at++] = POINT;
    to[at++] = digits[i]!;
  }
  for (let i = count; i <= exponent; i++) to[at++] = ZERO;
  return at;
}

/** As `writeDecimal`, of a number below one: digits go to their places at once. */
function writeFraction(whole: number, count: number, exponent: number, to: Uint8Array, at: number): number {
  to[at++] = ZERO;
  to[at++] = POINT;
  for (let i = -1; i > exponent; i--) to[at++] = ZERO;
  for (let i = at + count - 1; i >= at; i--) {
    const rest = (whole / 10) | 0;
    to[i] = ZERO + whole - rest * 10;
    whole = rest;
  }
  let end = at + count;
  while (to[end - 1] === ZERO && end > at + 1) end--;
  return end;
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
