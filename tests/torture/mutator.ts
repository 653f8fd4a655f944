// Random damage, the same for the same seed: half of it orderly (reshaper.ts), half of it to the bytes, mostly those of
// the header, where everything is a length or a number. Some of the models are in several files.
import { Buffer } from "node:buffer";
import { randomIntegers } from "../support/random.ts";
import { type Gguf, parse, pieces, serialise, u32, u64 } from "./gguf.ts";
import { reshaped } from "./reshaper.ts";
import { serialiseParts, split, type Written } from "./split.ts";
import { type Base, BASES } from "./tiny_models.ts";

const INTERESTING = [
  0n,
  1n,
  2n,
  3n,
  31n,
  32n,
  33n,
  63n,
  64n,
  65n,
  127n,
  128n,
  255n,
  256n,
  512n,
  513n,
  1n << 15n,
  1n << 16n,
  (1n << 31n) - 1n,
  1n << 31n,
  (1n << 32n) - 1n,
  1n << 32n,
  1n << 62n,
  (1n << 63n) - 1n,
  1n << 63n,
  (1n << 64n) - 1n,
];

type Draw = (min: number, max: number) => number;
type Change = (parts: Uint8Array[], draw: Draw, header: number) => void;

/** A random part of the header, or once in eight of the data. */
function partAt(parts: readonly Uint8Array[], draw: Draw, header: number): number {
  return draw(0, 7) === 0 ? draw(0, parts.length - 1) : draw(0, header - 1);
}

const flip: Change = (parts, draw, header) => {
  const part = parts[partAt(parts, draw, header)]!;
  for (let i = draw(1, 4); i > 0 && part.length > 0; i--) part[draw(0, part.length - 1)]! ^= 1 << draw(0, 7);
};

const setNumber: Change = (parts, draw, header) => {
  const part = parts[partAt(parts, draw, header)]!;
  const number = INTERESTING[draw(0, INTERESTING.length - 1)]!;
  const bytes = draw(0, 1) === 0 ? u64(number) : u32(Number(number & 0xffffffffn));
  if (part.length < bytes.length) return;
  // the last field of a part is its value, offset or type: more often than by chance
  part.set(bytes, draw(0, 2) === 0 ? part.length - bytes.length : draw(0, part.length - bytes.length));
};

const addNumber: Change = (parts, draw, header) => {
  const part = parts[partAt(parts, draw, header)]!;
  if (part.length === 0) return;
  const at = draw(0, 1) === 0 ? Math.max(0, part.length - 4) : draw(0, part.length - 1);
  part[at] = part[at]! + draw(-8, 8);
};

const remove: Change = (parts, draw, header) => void parts.splice(draw(0, header - 1), 1);

const exchange: Change = (parts, draw, header) => {
  const [a, b] = [draw(1, header - 1), draw(1, header - 1)];
  [parts[a], parts[b]] = [parts[b]!, parts[a]!];
};

const repeat: Change = (parts, draw, header) => {
  const at = draw(0, header - 1);
  parts.splice(at, 0, ...Array.from({ length: draw(1, 3) }, () => parts[at]!.slice()));
};

const splice: Change = (parts, draw, header) => {
  const [from, to] = [parts[draw(0, header - 1)]!, parts[draw(0, header - 1)]!];
  if (from.length === 0 || to.length === 0) return;
  const start = draw(0, from.length - 1);
  const piece = from.slice(start, start + draw(1, 64));
  const at = draw(0, to.length - 1);
  to.set(piece.subarray(0, to.length - at), at);
};

const insert: Change = (parts, draw, header) => {
  const at = draw(0, header - 1);
  const part = parts[at]!;
  const cut = draw(0, part.length);
  const extra = Uint8Array.from({ length: draw(1, 40) }, () => draw(0, 255));
  parts[at] = Buffer.concat([part.subarray(0, cut), extra, part.subarray(Math.min(part.length, cut + draw(0, 8)))]);
};

const randomise: Change = (parts, draw) => {
  const part = parts[draw(0, parts.length - 1)]!;
  const numbers = [0x7fc00000, 0x7f800000, 0x00000001, 0x7f7fffff, 0, 0xffffffff];
  const word = u32(numbers[draw(0, numbers.length - 1)]!);
  for (let i = draw(1, 64); i > 0 && part.length >= 4; i--) part.set(word, 4 * draw(0, (part.length >> 2) - 1));
};

const CHANGES: readonly Change[] = [
  flip,
  flip,
  setNumber,
  setNumber,
  setNumber,
  setNumber,
  addNumber,
  addNumber,
  remove,
  exchange,
  repeat,
  splice,
  insert,
  randomise,
];

/** Damages the bytes of a file, with the names of what was done. */
function damaged(gguf: Gguf, draw: Draw): [bytes: Uint8Array, names: string[]] {
  const parts = pieces(gguf).map((part) => part.slice());
  const header = 1 + gguf.entries.length + gguf.tensors.length;
  // Most files get one or two changes: more are refused at the first and teach nothing.
  const count = Math.min(draw(1, 6), draw(1, 6));
  const names: string[] = [];
  for (let i = 0; i < count; i++) {
    const change = CHANGES[draw(0, CHANGES.length - 1)]!;
    names.push(change.name);
    change(parts, draw, Math.min(header, parts.length));
  }
  const bytes = Buffer.concat(parts);
  return [draw(0, 29) === 0 ? bytes.subarray(0, draw(0, bytes.length)) : bytes, names];
}

/** A model in two or three files: sound, one of them damaged, missing, or in another's place. */
function inParts(gguf: Gguf, draw: Draw): [written: Written, names: string[]] {
  const cuts = Array.from({ length: draw(1, 2) }, () => draw(0, gguf.tensors.length)).sort((a, b) => a - b);
  const parts = split(gguf, cuts);
  const bytes = serialiseParts(parts);
  const [one, other] = [draw(0, parts.length - 1), draw(0, parts.length - 1)];
  switch (draw(0, 5)) {
    case 0: {
      const [wrong, names] = damaged(parts[one]!, draw);
      return [bytes.with(one, wrong), ["inParts", ...names]];
    }
    case 1:
      return [bytes.with(one, bytes[other]!), ["inParts", "replaced"]];
    case 2:
      return [bytes.map((part, i) => i === one ? undefined : part), ["inParts", "missing"]];
    default:
      return [bytes, ["inParts"]];
  }
}

/**
 * One damaged model.
 *
 * @param seed What makes it; the same seed gives the same bytes.
 * @param read Gives the bytes of a tiny model.
 */
export function mutant(seed: number, read: (base: Base) => Uint8Array): { name: string; bytes: Written } {
  const draw = randomIntegers(Math.imul(seed, 0x9e3779b1));
  const base = BASES[draw(0, BASES.length - 1)]!;
  const gguf = parse(read(base));
  if (draw(0, 1) === 0) {
    const [bytes, names] = damaged(gguf, draw);
    return { name: `${base} ${names.join(" ")}`, bytes };
  }
  const [changed, names] = reshaped(gguf, draw);
  const [bytes, more] = draw(0, 3) === 0 ? inParts(changed, draw) : [serialise(changed), []];
  return { name: `${base} ${[...names, ...more].join(" ")}`, bytes };
}
