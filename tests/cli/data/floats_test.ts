import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { widthOf, writeFloats } from "../../../cli/data/floats.ts";
import { randomIntegers } from "../../support/random.ts";

function written(numbers: ArrayLike<number>): string[] {
  const floats = new Float32Array(numbers);
  const bytes = new Uint8Array(widthOf(floats.length));
  return new TextDecoder().decode(bytes.subarray(0, writeFloats(floats, bytes, 0))).split(",");
}

/** The fewest digits by trying each number of them. */
function fewest(number: number): number {
  for (let count = 1; count < 9; count++) {
    if (Math.fround(Number(number.toPrecision(count))) === number) return count;
  }
  return 9;
}

function digitsOf(text: string): number {
  return text.replace(/e.*/, "").replaceAll(/[-.]/g, "").replace(/^0+/, "").replace(/0+$/, "").length;
}

test("writeFloats() writes known numbers as JSON has them", () => {
  const numbers = [
    0,
    -0,
    1,
    0.1,
    -0.5,
    1e-5,
    1e-7,
    123456,
    16777216,
    1e20,
    1e21,
    3.4028234663852886e38,
    1.401298464324817e-45,
  ];
  const texts = "0 -0 1 0.1 -0.5 0.00001 1e-7 123456 16777216 100000000000000000000 1e21 3.4028235e38 1e-45".split(" ");
  assertEquals(written(numbers), texts);
});

test("writeFloats() writes numbers in the fewest digits that give them back", () => {
  const draw = randomIntegers(1);
  const bits = new Uint32Array(30_000).map((_, i) => {
    const all = draw(0, 0xffffffff);
    if (i % 3 === 0) return all;
    return i % 3 === 1 ? (all & 0x807fffff) | (draw(110, 126) << 23) : all & 0xff800000; // of a vector; powers of two
  });
  const numbers = new Float32Array(bits.buffer).filter((number) => Number.isFinite(number));
  const texts = written(numbers);
  for (const [i, number] of numbers.entries()) {
    const text = texts[i]!;
    assert(Object.is(Math.fround(JSON.parse(text)), number), `${text} is not ${number}`);
    assert(number === 0 || digitsOf(text) <= fewest(Math.abs(number)), `${text} has more digits than ${number} needs`);
  }
});
