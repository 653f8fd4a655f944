// The values that the corpus and the mutator put into files.
import { randomIntegers } from "../support/random.ts";
import { copy, type Gguf, setKey, TYPE, type Value, value } from "./gguf.ts";

/** Values and bytes of a block, by enum ggml_type: those whose blocks fit rows of 32 and more. */
export const BLOCKS: ReadonlyMap<number, readonly [values: number, bytes: number]> = new Map([
  [0, [1, 4]], // f32
  [1, [1, 2]], // f16
  [2, [32, 18]], // q4_0
  [3, [32, 20]], // q4_1
  [6, [32, 22]], // q5_0
  [7, [32, 24]], // q5_1
  [8, [32, 34]], // q8_0
  [9, [32, 36]], // q8_1
  [20, [32, 18]], // iq4_nl
  [24, [1, 1]], // i8
  [25, [1, 2]], // i16
  [26, [1, 4]], // i32
  [27, [1, 8]], // i64
  [28, [1, 8]], // f64
  [30, [1, 2]], // bf16
  [39, [32, 17]], // mxfp4
  [40, [64, 36]], // nvfp4
]);

/** Numbers that no key should have, as u32 and as other types. */
export function numbers(): [string, Value][] {
  return [
    ["0", value.u32(0)],
    ["1", value.u32(1)],
    ["77", value.u32(77)],
    ["a million", value.u32(1_000_000)],
    ["2^31", value.u32(2 ** 31)],
    ["2^32-1", value.u32(2 ** 32 - 1)],
    ["-1", value.i32(-1)],
    ["2^62", value.u64(2n ** 62n)],
    ["NaN", value.f32(NaN)],
    ["-Infinity", value.f32(-Infinity)],
    ["0.0", value.f32(0)],
    ["bool 255", value.bool(255)],
  ];
}

/** Changes of a list of tokens. */
export function hostileTexts(): [string, (tokens: Uint8Array[]) => (string | Uint8Array)[]][] {
  const at = (i: number, text: string | Uint8Array) => (tokens: Uint8Array[]) =>
    tokens.toSpliced(i, 1, text as Uint8Array);
  return [
    ["no tokens", () => []],
    ["one token", (tokens) => tokens.slice(0, 1)],
    ["one too few", (tokens) => tokens.slice(1)],
    ["one too many", (tokens) => [...tokens, "surplus"]],
    ["a token twice", (tokens) => tokens.with(7, tokens[8]!)],
    ["all the same", (tokens) => tokens.map(() => "a")],
    ["all empty", (tokens) => tokens.map(() => "")],
    ["a token empty", at(7, "")],
    [
      "a token named as an empty one is",
      (tokens) => tokens.with(7, new Uint8Array()).with(8, new TextEncoder().encode("[EMPTY_7]")),
    ],
    ["a token with a NUL", at(7, "a\0b")],
    ["a token of one byte 0", at(7, "\0")],
    ["a token of broken UTF-8", at(7, Uint8Array.of(0xe2, 0x96, 0xff, 0xc0, 0x80, 0xf5))],
    ["a token that ends in half a letter", at(7, Uint8Array.of(97, 0xe2, 0x96))],
    ["a token of 4 KB", at(7, "x".repeat(4096))],
    ["a token of 1 MB", at(7, "x".repeat(1 << 20))],
    ["a hundred tokens of 100 KB", (tokens) => tokens.map((one, i) => i < 100 ? `${i}${"x".repeat(100_000)}` : one)],
    ["a token of format letters", at(7, "%s%n%p%d")],
  ];
}

/** A file whose tokens are changed; the rest says what it said. */
export function withTokens(gguf: Gguf, change: (tokens: Uint8Array[]) => (string | Uint8Array)[]): Gguf {
  const tokens = tokensOf(gguf);
  return tokens.length < 10 ? gguf : setKey(gguf, "tokenizer.ggml.tokens", value.strings(change(tokens)));
}

function tokensOf(gguf: Gguf): Uint8Array[] {
  const entry = gguf.entries.find(({ key }) => new TextDecoder().decode(key) === "tokenizer.ggml.tokens");
  if (entry?.value.type !== TYPE.array || entry.value.bytes[0] !== TYPE.string) return [];
  const bytes = entry.value.bytes;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 12;
  return Array.from({ length: Number(view.getBigUint64(4, true)) }, () => {
    const length = Number(view.getBigUint64(at, true));
    return bytes.slice(at + 8, at += 8 + length);
  });
}

/** A file with a tensor of another type and random bytes in it, all sizes and offsets right. */
export function withTensorType(gguf: Gguf, index: number, type: number): Gguf {
  const next = copy(gguf);
  const tensor = next.tensors[index]!;
  const [values, bytes] = BLOCKS.get(type)!;
  const count = Number(tensor.dimensions.reduce((product, n) => product * n, 1n));
  const draw = randomIntegers(type);
  tensor.type = type;
  tensor.data = Uint8Array.from({ length: Math.ceil(count / values * bytes / 32) * 32 }, () => draw(0, 60));
  placeTensors(next);
  return next;
}

/** Gives every tensor the offset that its place asks for. */
export function placeTensors(gguf: Gguf): void {
  let offset = 0n;
  for (const tensor of gguf.tensors) {
    tensor.offset = offset;
    offset += BigInt(tensor.data.length);
  }
}
