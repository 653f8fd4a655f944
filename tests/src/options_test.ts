import { test } from "node:test";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { checkPath, checkText, checkTexts, show } from "../../src/check.ts";
import { checkEmbedOptions, checkLoadOptions, checkRerankOptions } from "../../src/options.ts";

type Check = (options: Record<string, unknown>) => unknown;

/** Options as a program without types may pass them. */
const load: Check = (options) => checkLoadOptions(options as never);
const embed: Check = (options) => checkEmbedOptions(options as never, 384);
const rerank: Check = (options) => checkRerankOptions(options as never);

const HUGE = 1e300;

/** What each kind of option refuses, with the words for the value in the message. */
const WRONG_TYPES: Record<string, [value: unknown, words: string][]> = {
  integer: [["8", '"8"'], [8n, "8n"], [null, "null"], [true, "true"], [[], "an array"], [{}, "an object"]],
  boolean: [["true", '"true"'], [1, "1"], [null, "null"], [{}, "an object"]],
  word: [[1, "1"], [null, "null"], [true, "true"], [["end"], "an array"], [Symbol("s"), "a symbol"]],
  text: [[1, "1"], [null, "null"], [["a"], "an array"], [() => "a", "a function"]],
  signal: [[{ aborted: false }, "an object"], [null, "null"], ["stop", '"stop"'], [new AbortController(), "an object"]],
  callback: [["log", '"log"'], [null, "null"], [{}, "an object"], [1, "1"]],
  library: [[1, "1"], [null, "null"], [{ href: "file:///x" }, "an object"], [[], "an array"]],
};

const OPTIONS: [check: Check, kind: string, name: string, range?: [min: number, max: number]][] = [
  [load, "integer", "contextSize", [1, Number.MAX_SAFE_INTEGER]],
  [load, "integer", "gpuLayers", [-1, Number.MAX_SAFE_INTEGER]],
  [load, "integer", "contexts", [1, 512]],
  [load, "integer", "threads", [1, 512]],
  [load, "word", "pooling"],
  [load, "library", "library"],
  [load, "boolean", "checkTensors"],
  [load, "boolean", "kernels"],
  [load, "signal", "signal"],
  [load, "callback", "onProgress"],
  [load, "callback", "onLog"],
  [embed, "boolean", "normalize"],
  [embed, "integer", "dimensions", [1, 384]],
  [embed, "text", "prompt"],
  [embed, "word", "truncate"],
  [embed, "signal", "signal"],
  [embed, "callback", "onProgress"],
  [rerank, "integer", "topN", [0, Number.MAX_SAFE_INTEGER]],
  [rerank, "callback", "text"],
  [rerank, "word", "truncate"],
  [rerank, "signal", "signal"],
  [rerank, "callback", "onProgress"],
];

for (const [check, kind, name, range] of OPTIONS) {
  const call = check === load ? "checkLoadOptions" : check === embed ? "checkEmbedOptions" : "checkRerankOptions";

  test(`${call}() throws TypeError for a ${name} of the wrong type, naming it and the value`, () => {
    for (const [value, words] of WRONG_TYPES[kind]!) {
      const { message } = assertThrows(() => check({ [name]: value }), TypeError);
      assertStringIncludes(message, ` ${name}: it must be`);
      assertStringIncludes(message, `, is ${words}`);
    }
  });

  test(`${call}() takes an undefined ${name} as left out`, () => {
    check({ [name]: undefined });
  });

  if (range) {
    test(`${call}() throws RangeError for a ${name} out of range, naming it and the value`, () => {
      const [min, max] = range;
      for (const value of [NaN, Infinity, -Infinity, 1.5, min - 1, -100, max + 1, HUGE]) {
        const { message } = assertThrows(() => check({ [name]: value }), RangeError);
        assertStringIncludes(message, `${name}: it must be an integer from ${min}`);
        assertStringIncludes(message, `, is ${value}`);
      }
      for (const value of [min, max]) check({ [name]: value });
    });
  }
}

test("options checks throw RangeError for a word that is none, listing those that are", () => {
  const poolings = '"none", "mean", "cls", "last", "rank"';
  assertStringIncludes(
    assertThrows(() => load({ pooling: "max" }), RangeError).message,
    `pooling: it must be one of ${poolings}, is "max"`,
  );
  for (const [check, more] of [[embed, ""], [rerank, ', "windows"']] as const) {
    for (const word of ["", "END", "middle"]) {
      assertStringIncludes(
        assertThrows(() => check({ truncate: word }), RangeError).message,
        `truncate: it must be one of "end", "start", "error"${more}, is "${word}"`,
      );
    }
  }
  for (const word of ["none", "mean", "cls", "last", "rank"]) load({ pooling: word });
  for (const word of ["end", "start", "error"]) embed({ truncate: word });
});

test("options checks throw TypeError for options that are no object", () => {
  for (const check of [load, embed, rerank]) {
    for (const [value, words] of [[null, "null"], [[], "an array"], ["mean", '"mean"'], [5, "5"]] as const) {
      const { message } = assertThrows(() => check(value as never), TypeError);
      assertEquals(message, `Cannot read options: it must be an object, is ${words}`);
    }
  }
});

test("checkLoadOptions() takes a path and a file: URL as library, and gives its path", () => {
  const path = resolve("/lib/x.so");
  for (const library of [path, pathToFileURL(path), pathToFileURL(path).href]) {
    assertEquals((load({ library }) as { library: string }).library, path);
  }
});

test("checkPath() refuses what is no path of this machine, naming it", () => {
  const root = pathToFileURL("/").href; // file:///, on Windows with a drive
  for (const bad of ["", "a\0b", `${root}a%00b`]) {
    assertThrows(() => checkPath("out", bad), RangeError, "read out: it must");
  }
  for (const bad of ["file://%", "file:///%2F", new URL("http://x/y"), "\ud800", 1, null, {}]) {
    assertThrows(() => checkPath("out", bad), TypeError, "Cannot read out: it ");
  }
  assertEquals(checkPath("out", `${root}a%20b%23%25%0A`), resolve("/a b#%\n"));
  assertEquals(checkPath("out", "a b#%\n"), "a b#%\n");
});

test("options checks read each option once and give back what was checked", () => {
  for (const [check, name, good] of [[load, "threads", 1], [embed, "dimensions", 2], [rerank, "topN", 3]] as const) {
    let reads = 0;
    const options = {
      get [name]() {
        return reads++ === 0 ? good : -1;
      },
    };
    assertEquals((check(options) as Record<string, unknown>)[name], good);
    assertEquals(reads, 1);
    assertEquals((check(Object.create({ [name]: good })) as Record<string, unknown>)[name], good);
  }
});

test("checkText() throws TypeError for what is no string, naming it and the value", () => {
  for (const [value, words] of WRONG_TYPES.text!) {
    const { message } = assertThrows(() => checkText("query", value), TypeError);
    assertEquals(message, `Cannot read query: it must be a string, is ${words}`);
  }
});

test("checkText() throws TypeError for a lone surrogate, naming it and its index", () => {
  for (
    const [text, at, unit] of [
      ["\ud83d", 0, "D83D"],
      ["ab\ude00", 2, "DE00"],
      ["😀\ud83d", 2, "D83D"],
      ["\ud83d\ud83d\ude00", 0, "D83D"],
      ["😀\ude00 x", 2, "DE00"],
      ["x\ud83dx", 1, "D83D"],
    ] as const
  ) {
    const { message } = assertThrows(() => checkText("input[3]", text), TypeError);
    assertStringIncludes(message, `Cannot read input[3]: it has a lone surrogate U+${unit} at index ${at}; `);
  }
});

test("checkText() gives back every well-formed text", () => {
  for (const text of ["", "plain", "😀", "\0", "\ufffd", "é한नि"]) assertEquals(checkText("input", text), text);
});

test("checkTexts() names the index of the text that is wrong", () => {
  assertStringIncludes(assertThrows(() => checkTexts("input", ["a", 1]), TypeError).message, "input[1]: it must be");
  assertStringIncludes(assertThrows(() => checkTexts("input", ["\udc00"]), TypeError).message, "input[0]: it has a");
  // A hole in a list is no text either.
  assertStringIncludes(assertThrows(() => checkTexts("documents", new Array(2)), TypeError).message, "documents[0]");
  assertStringIncludes(
    assertThrows(() => checkTexts("input", "a"), TypeError).message,
    'input: it must be an array, is "a"',
  );
  assertStringIncludes(assertThrows(() => checkTexts("input", new Set(["a"])), TypeError).message, "is an object");
});

test("checkTexts() copies the list, so that a later change to it does no harm", () => {
  const texts = ["a", "b"];
  const checked = checkTexts("input", texts);
  texts[0] = "c";
  assertEquals(checked, ["a", "b"]);
});

test("checkTexts() refuses a list whose length is none", () => {
  for (const length of [-1, 1.5, NaN, 2 ** 32, "2"]) {
    const liar = new Proxy(["a"], { get: (list, key) => key === "length" ? length : Reflect.get(list, key) });
    assertThrows(() => checkTexts("input", liar), TypeError, "Cannot read input: it must be an array, its length is");
  }
});

test("show() is short and runs none of the value's own code", () => {
  const hostile = {
    toString(): string {
      throw new Error("called");
    },
  };
  assertEquals(show(hostile), "an object");
  const revoked = Proxy.revocable([], {});
  revoked.revoke();
  assertEquals([show(revoked.proxy), show(Promise.resolve()), show(10n ** 100n)], [
    "an object",
    "a promise: await it",
    "a bigint",
  ]);
  assertEquals(show("x".repeat(100)), `"${"x".repeat(40)}…"`);
  assertEquals([show(undefined), show(NaN), show(-0.5), show(3n)], ["undefined", "NaN", "-0.5", "3n"]);
});

test("options that are a Promise, a Map, a signal, a Date or an Error are refused, and those of a class are read", () => {
  class Options {
    prompt = "a: ";
  }
  assertEquals((embed(new Options() as never) as Options).prompt, "a: ");
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  for (
    const value of [Promise.resolve({}), new Map(), new AbortController().signal, new Date(), new Error("x"), proxy]
  ) {
    assertThrows(() => embed(value as never), TypeError, "Cannot read options: it must be an object");
  }
  assertThrows(() => embed(new AbortController().signal as never), TypeError, "an AbortSignal: pass { signal }");
});
