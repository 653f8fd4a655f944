// Values that a program without types, or one that means harm, may pass.
import fc from "fast-check";
import { runInNewContext } from "node:vm";
import { RARE } from "./word_piece.ts";

/** What a hostile value's own code throws; it may come through, and nothing else of that kind. */
export class Trap extends Error {
  override readonly name = "Trap";
}

function spring(): never {
  throw new Trap("sprung");
}

const TRAPS: ProxyHandler<object> = { get: spring, has: spring, ownKeys: spring, getOwnPropertyDescriptor: spring };

function revoked(target: object): object {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return proxy;
}

/** One of each kind; made anew, since some keep a state. */
const KINDS: readonly (() => unknown)[] = [
  () => NaN,
  () => -0,
  () => -1,
  () => 0.5,
  () => Infinity,
  () => -1e300,
  () => 2 ** 31,
  () => 2 ** 53,
  () => 10n,
  () => 10n ** 500n,
  () => Symbol("s"),
  () => Symbol.iterator,
  () => null,
  () => "",
  () => "\0",
  () => "a\0b.gguf",
  () => "\ud800",
  () => "x\udc00".repeat(1000),
  () => "../../../../etc/passwd",
  // What would move a terminal's cursor or turn a line around, and names that no message has room for.
  () => "\u009b2J\u202ea\nb",
  () => `a/\u202e\n${"x".repeat(5000)}.gguf`,
  () => `hf:owner/repo/\u202e${"x".repeat(5000)}.gguf`,
  () => "~",
  () => "$HOME/model.gguf",
  () => "file://%",
  () => "file:///a%00b",
  () => "hf:../../x.gguf",
  () => "constructor",
  () => "__proto__",
  () => new String("boxed"),
  () => new Number(1),
  () => new Boolean(true),
  () => Object.create(null),
  () => Object.freeze(["a", "b"]),
  () => Object.freeze({ threads: 1 }),
  () => new Array(1000),
  () => new Array(2 ** 32 - 1),
  () => Object.assign(new Array(3), { 1: "a" }),
  () => ["a", ["b"]],
  () => ({ length: 2, 0: "a", 1: "b" }),
  () => ({ toString: () => "1", valueOf: () => 1 }),
  () => ({ toString: spring, valueOf: spring, [Symbol.toPrimitive]: spring }),
  () => Object.defineProperty({}, "threads", { get: spring, enumerable: true }),
  () => new Proxy({}, TRAPS),
  () => new Proxy([], TRAPS),
  () => new Proxy(["a"], { get: (list, key) => key === "length" ? -1 : Reflect.get(list, key) }),
  () => new Proxy(["a"], { get: (list, key) => key === "length" ? 1e9 : Reflect.get(list, key) }),
  () => new Proxy(new URL("file:///a"), {}),
  () => new Proxy(AbortSignal.abort(), {}),
  () => revoked({}),
  () => revoked([]),
  () => Promise.resolve("a"),
  () => ({ then: spring }),
  () => new AbortController(),
  () => ({ aborted: false, addEventListener() {}, throwIfAborted() {} }),
  () => AbortSignal.abort(new Trap("aborted")),
  () => new URL("https://example.com/a.gguf"),
  () => new URL("file://host/a"),
  () => spring,
  () => class {},
  () => async () => await Promise.resolve("later"),
  () => new Map([["threads", 1]]),
  () => new Date(NaN),
  () => new Uint8Array(4),
  () => new BigInt64Array(2),
  () => new DataView(new ArrayBuffer(8)),
  () => structuredClone(new Float32Array(2), { transfer: [] }),
  // of another realm: no instanceof of ours is true of them
  () => runInNewContext("['a', 'b']"),
  () => runInNewContext("[1, 2]"),
  () => runInNewContext("({ threads: 'x', topN: 'x', normalize: 'x' })"),
  () => runInNewContext("new String('a')"),
  () => runInNewContext("new Float32Array(2)"),
  () => runInNewContext("() => 'a'"),
];

/** Texts of every kind: any code units, only spaces, what looks like special tokens, NUL, rare characters. */
export const anyText: fc.Arbitrary<string> = fc.oneof(
  fc.string({ unit: "binary", maxLength: 60 }),
  fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 20 }).map((units) => String.fromCharCode(...units)),
  fc.stringMatching(/^\s{0,40}$/),
  fc.array(fc.constantFrom("[CLS]", "[SEP]", "[MASK]", "[UNK]", "<s>", "</s>", "<|im_end|>", "{query}", "a", " ", "\0"))
    .map((parts) => parts.join("")),
  rareText(40),
  // Words near the hundred characters that WordPiece takes apart.
  fc.tuple(fc.integer({ min: 90, max: 101 }), rareText(16), rareText(4)).map(([length, inside, after]) =>
    "x".repeat(length >> 1) + inside + "x".repeat(length - (length >> 1)) + after
  ),
);

/** Texts of rare characters and a few ordinary ones. */
export function rareText(maxLength: number): fc.Arbitrary<string> {
  const character = fc.oneof(
    fc.constantFrom(...RARE),
    fc.constantFrom(..."abA1. "),
    fc.integer({ min: 1, max: 0x2ffff }).map(
      (code) => code >= 0xd800 && code < 0xe000 ? "?" : String.fromCodePoint(code),
    ),
  );
  return fc.array(character, { maxLength }).map((parts) => parts.join(""));
}

/** How to show a maker in a counterexample. */
function maker(make: () => unknown): () => unknown {
  return Object.assign(() => make(), { [fc.toStringMethod]: () => String(make) });
}

const kind = fc.constantFrom(...KINDS.map(maker));

/** Makes any value at all: made late, since fast-check looks into what it draws and some values bite. */
export const anyValue: fc.Arbitrary<() => unknown> = fc.oneof(
  { weight: 4, arbitrary: kind },
  {
    weight: 1,
    arbitrary: fc.array(fc.oneof(anyText.map((text) => () => text), kind)).map((makers) => () =>
      makers.map((make) => make())
    ),
  },
  {
    weight: 4,
    arbitrary: fc.oneof(
      anyText,
      fc.double(),
      fc.integer({ min: -2, max: 600 }),
      fc.boolean(),
      fc.anything({
        withBigInt: true,
        withBoxedValues: true,
        withDate: true,
        withMap: true,
        withSet: true,
        withNullPrototype: true,
        withObjectString: true,
        withSparseArray: true,
        withTypedArray: true,
      }),
    ).map((value) => maker(() => value)),
  },
);
