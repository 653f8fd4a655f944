import { test } from "node:test";
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { type Checks, readOptions } from "../../../ffi/host/options.ts";

interface Options {
  readonly topN?: number | undefined;
  readonly contextSize?: number | undefined;
}

function positive(name: string, value: unknown): number {
  if (typeof value === "number" && value > 0) return value;
  throw new RangeError(`${name} is ${value}`);
}

const CHECKS: Checks<Options> = { topN: positive, contextSize: positive };

const read = (options: object): object => readOptions(options as Options, CHECKS);

test("readOptions() gives every option, those that were not given as undefined", () => {
  assertEquals(read({}), { topN: undefined, contextSize: undefined });
  assertEquals(read({ contextSize: 2, topN: undefined }), { topN: undefined, contextSize: 2 });
});

test("readOptions() throws what a check throws", () => {
  assertThrows(() => read({ topN: 0 }), RangeError, "topN is 0");
  assertThrows(() => read({ topN: null }), RangeError, "topN is null");
});

test("readOptions() refuses what is none of the options, and names the nearest one", () => {
  for (
    const [name, near] of [
      ["topK", "topN"],
      ["TOPN", "topN"],
      ["top_n", "topN"],
      ["contextsize", "contextSize"],
      ["context", "contextSize"],
      ["size", undefined],
      ["temperature", undefined],
      ["constructor", undefined],
      ["", undefined],
    ]
  ) {
    const guess = near === undefined ? ";" : `, did you mean "${near}"?`;
    assertEquals(
      assertThrows(() => read({ [name!]: 1 }), TypeError).message,
      `Cannot read options: "${name}" is not known${guess} the options are topN, contextSize`,
    );
  }
  assertThrows(() => read(JSON.parse('{ "__proto__": 1 }')), TypeError, '"__proto__" is not known;');
});

test("readOptions() shows names bounded and printable", () => {
  const { message } = assertThrows(() => read({ ["\u0000\n".repeat(50_000)]: 1 }), TypeError);
  assertStringIncludes(message, "\\u{0}\\u{a}");
  assert(message.length < 300, message);
});

test("readOptions() looks at own enumerable names alone, and takes options of a prototype and of a class", () => {
  const hidden = Object.defineProperty({ [Symbol("topK")]: 1 }, "topK", { value: 1, enumerable: false });
  assertEquals(read(hidden), { topN: undefined, contextSize: undefined });
  assertEquals(read(Object.create({ topN: 3, topK: 4 })), { topN: 3, contextSize: undefined });
  class Settings {
    topN = 5;
    #secret = 2;
    get contextSize(): number {
      return this.#secret;
    }
    method(): void {}
  }
  assertEquals(read(new Settings()), { topN: 5, contextSize: 2 });
});

test("readOptions() takes an unknown option that is undefined as not given", () => {
  assertEquals(read({ topK: undefined }), { topN: undefined, contextSize: undefined });
  assertThrows(() => read({ topK: null }), TypeError, '"topK" is not known');
});

test("readOptions() reads each option once, and lets through what a getter throws", () => {
  const reads: string[] = [];
  const options = new Proxy({ topN: 1, contextSize: 2 }, {
    get: (target, name) => (reads.push(String(name)), Reflect.get(target, name)),
  });
  assertEquals(read(options), { topN: 1, contextSize: 2 });
  assertEquals(reads, ["topN", "contextSize"]);
  const trap = new Error("sprung");
  for (const name of ["topN", "topK"]) {
    const biting = Object.defineProperty({}, name, {
      enumerable: true,
      get: () => {
        throw trap;
      },
    });
    assertEquals(assertThrows(() => read(biting), Error), trap);
  }
});
