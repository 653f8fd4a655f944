// Random damage that keeps a file in order: counts, offsets and sizes are right, what they say is not. Such files get past
// the reading of the header and into vocabularies, graphs and kernels.
import { ARCHITECTURES, KEYS, PRETOKENIZERS, TOKENIZERS } from "./architectures.ts";
import { copy, type Gguf, setKey, TYPE, type Value, value } from "./gguf.ts";
import { BLOCKS, hostileTexts, placeTensors, withTensorType, withTokens } from "./hostile.ts";

type Draw = (min: number, max: number) => number;
type Change = (gguf: Gguf, draw: Draw) => Gguf;

const utf8 = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const pick = <T>(list: readonly T[], draw: Draw): T => list[draw(0, list.length - 1)]!;
const NUMBERS = [
  0,
  1,
  2,
  3,
  4,
  5,
  7,
  8,
  15,
  16,
  17,
  31,
  32,
  33,
  63,
  64,
  65,
  128,
  255,
  256,
  1000,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
];
const FLOATS = [0, -0, 1, -1, 1e-45, 1e38, -1e38, 3e38, 1e-12, 0.5, 2, 1000];

function architectureOf(gguf: Gguf): string {
  const entry = gguf.entries.find(({ key }) => utf8(key) === "general.architecture");
  return entry ? utf8(entry.value.bytes.subarray(8)) : "";
}

function anyValue(draw: Draw): Value {
  switch (draw(0, 5)) {
    case 0:
      return value.f32(pick(FLOATS, draw));
    case 1:
      return value.bool(draw(0, 1));
    case 2:
      return value.i32s(Array.from({ length: draw(0, 6) }, () => draw(-1, 4)));
    default:
      return value.u32(pick(NUMBERS, draw));
  }
}

const changeKey: Change = (gguf, draw) => {
  const { key, value: old } = pick(gguf.entries, draw);
  const next = old.type === TYPE.u32
    ? value.u32(pick(NUMBERS, draw))
    : old.type === TYPE.f32
    ? value.f32(pick(FLOATS, draw))
    : old.type === TYPE.bool
    ? value.bool(draw(0, 1))
    : anyValue(draw);
  return setKey(gguf, utf8(key), next);
};

const addKey: Change = (gguf, draw) => setKey(gguf, `${architectureOf(gguf)}.${pick(KEYS, draw)}`, anyValue(draw));

const retype: Change = (gguf, draw) => {
  const index = draw(0, gguf.tensors.length - 1);
  const types = [...BLOCKS].filter(([, [values]]) => Number(gguf.tensors[index]!.dimensions[0]) % values === 0);
  return types.length === 0 ? gguf : withTensorType(gguf, index, pick(types, draw)[0]);
};

/** Gives a tensor's data the size that its dimensions and type ask for. */
function resize(tensor: Gguf["tensors"][0]): void {
  const [values, bytes] = BLOCKS.get(tensor.type) ?? [1, 4];
  const count = tensor.dimensions.reduce((product, n) => product * n, 1n);
  const size = Math.ceil(Number(count) / values * bytes / 32) * 32;
  const old = tensor.data;
  if (size > 1 << 22) return;
  tensor.data = new Uint8Array(size);
  for (let at = 0; at < size && old.length > 0; at += old.length) tensor.data.set(old.subarray(0, size - at), at);
}

const reshape: Change = (gguf, draw) => {
  const next = copy(gguf);
  const tensor = pick(next.tensors, draw);
  if (tensor.dimensions.length === 0) return next;
  tensor.dimensions[draw(0, tensor.dimensions.length - 1)] = BigInt(pick(NUMBERS.slice(0, 20), draw));
  resize(tensor);
  placeTensors(next);
  return next;
};

/** Another size of the whole model: a number that shapes and keys share becomes another. */
const scale: Change = (gguf, draw) => {
  const next = copy(gguf);
  const tensor = pick(next.tensors, draw);
  const from = tensor.dimensions.length > 0 ? pick(tensor.dimensions, draw) : 32n;
  const to = BigInt(
    pick([...NUMBERS.slice(0, 20), Number(from) + 1, Math.max(0, Number(from) - 1), Number(from) * 2], draw),
  );
  for (const one of next.tensors) {
    if (!one.dimensions.includes(from)) continue;
    one.dimensions = one.dimensions.map((n) => n === from ? to : n);
    resize(one);
  }
  for (const entry of next.entries) {
    const { type, bytes } = entry.value;
    const number = type === TYPE.u32 ? new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true) : -1;
    if (BigInt(number) === from) entry.value = value.u32(Number(to));
  }
  placeTensors(next);
  return next;
};

const rename: Change = (gguf, draw) => {
  const [old, name] = [architectureOf(gguf), pick(ARCHITECTURES, draw)];
  const next = setKey(gguf, "general.architecture", value.string(name));
  for (const entry of next.entries) {
    const key = utf8(entry.key);
    if (key.startsWith(`${old}.`)) entry.key = new TextEncoder().encode(name + key.slice(old.length));
  }
  return next;
};

const drop: Change = (gguf, draw) => {
  const next = copy(gguf);
  next.tensors.splice(draw(0, next.tensors.length - 1), 1);
  next.tensorCount = BigInt(next.tensors.length);
  placeTensors(next);
  return next;
};

const words: Change = (gguf, draw) => withTokens(gguf, pick(hostileTexts(), draw)[1]);

/** A NUL in a key, a tensor's name or a text, or a key that is another's up to its NUL, before it. */
const zero: Change = (gguf, draw) => {
  const next = copy(gguf);
  const tail = draw(0, 1) === 0 ? "\0" : `\0${"x".repeat(draw(1, 300))}`;
  const longer = (name: Uint8Array): Uint8Array => new TextEncoder().encode(utf8(name) + tail);
  const entry = pick(next.entries, draw);
  const texts = next.entries.filter(({ value: { type } }) => type === TYPE.string);
  switch (draw(0, 3)) {
    case 0:
      entry.key = longer(entry.key);
      break;
    case 1:
      pick(next.tensors, draw).name = longer(pick(next.tensors, draw).name);
      break;
    case 2:
      if (texts.length > 0) {
        const text = pick(texts, draw);
        text.value = value.string(longer(text.value.bytes.subarray(8)));
      }
      break;
    default:
      next.entries.unshift({ key: longer(entry.key), value: anyValue(draw) });
      next.entryCount = BigInt(next.entries.length);
  }
  return next;
};

/** Another tokenizer over the same tokens, or another way to split a text for it. */
const tokenizer: Change = (gguf, draw) =>
  draw(0, 2) > 0
    ? setKey(gguf, "tokenizer.ggml.model", value.string(pick(TOKENIZERS, draw)))
    : setKey(gguf, "tokenizer.ggml.pre", value.string(pick(PRETOKENIZERS, draw)));

const noise: Change = (gguf, draw) => {
  const next = copy(gguf);
  const tensor = pick(next.tensors, draw);
  tensor.data = tensor.data.map((byte) => draw(0, 9) === 0 ? draw(0, 255) : byte);
  return next;
};

const CHANGES: readonly Change[] = [
  changeKey,
  changeKey,
  addKey,
  addKey,
  addKey,
  retype,
  reshape,
  scale,
  scale,
  rename,
  drop,
  words,
  noise,
  zero,
  tokenizer,
];

/** One to four such changes, and their names. */
export function reshaped(gguf: Gguf, draw: Draw): [gguf: Gguf, names: string[]] {
  const names: string[] = [];
  let next = gguf;
  for (let i = Math.min(draw(1, 4), draw(1, 4)); i > 0; i--) {
    const change = pick(CHANGES, draw);
    names.push(change.name);
    if (next.tensors.length > 0) next = change(next, draw);
  }
  return [next, names];
}
