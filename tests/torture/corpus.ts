// The corpus: files that are wrong in one way each, made of the tiny models. The same list on every machine.
import { Buffer } from "node:buffer";
import { copy, type Gguf, parse, serialise } from "./gguf.ts";
import { BLOCKS, withTensorType } from "./hostile.ts";
import { added, architectures, heads, keys, templates, tokenizers, vocabularies, zeros } from "./metadata.ts";
import { splits, type Written } from "./split.ts";
import { cuts, headers, lengths, tensors } from "./structure.ts";
import type { Base } from "./tiny_models.ts";

/** A wrong file: made when it is asked for. */
export interface Mutation {
  readonly name: string;
  readonly bytes: () => Written;
}

const utf8 = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** Every mutation, in a fixed order. */
export function* corpus(read: (base: Base) => Uint8Array): Generator<Mutation> {
  const bert = parse(read("bert"));
  yield* headers(bert);
  yield* lengths(bert);
  yield* cuts(bert);
  yield* tensors(bert);
  yield* vocabularies(bert);
  for (
    const base of ["bert", "rerank", "llama", "qwen3", "nomic", "moe", "t5", "gemma", "modern", "jina", "lfm2"] as const
  ) {
    yield* keys(base, parse(read(base)));
    yield* added(base, parse(read(base)));
    yield* zeros(base, parse(read(base)));
  }
  for (const base of ["dense", "distil", "modern_head"] as const) yield* keys(base, parse(read(base)));
  for (const base of ["bert", "qwen3", "moe", "t5", "modern", "jina", "lfm2"] as const) {
    yield* weights(base, parse(read(base)));
  }
  for (const base of ["bert", "llama", "qwen3", "moe"] as const) yield* architectures(base, parse(read(base)));
  yield* tokenizers(parse(read("bert")), parse(read("qwen3")), parse(read("llama")));
  yield* templates(parse(read("qwen3")));
  yield* heads(parse(read("dense")), parse(read("modern_head")));
  for (const base of ["bert", "rerank", "t5", "qwen3"] as const) {
    yield* splits(base, parse(read(base)), parse(read(base === "rerank" ? "bert" : "rerank")));
  }
  yield* others(read("bert"), read("q8_0"));
}

/** Each tensor with weights that are no numbers, and of each type that fits its rows. */
function* weights(base: Base, gguf: Gguf): Generator<Mutation> {
  for (const [i, { name, dimensions }] of gguf.tensors.entries()) {
    if (/^(enc\.)?blk\.[1-9]/.test(utf8(name)) && base === "bert") continue;
    for (const number of [NaN, Infinity, 3e38]) {
      yield {
        name: `weights: ${base} ${utf8(name)} all ${number}`,
        bytes: () => {
          const next = copy(gguf);
          next.tensors[i]!.data = new Uint8Array(
            new Float32Array(next.tensors[i]!.data.length / 4).fill(number).buffer,
          );
          return serialise(next);
        },
      };
    }
    for (const [type, [values]] of BLOCKS) {
      if (type === 0 || Number(dimensions[0]) % values !== 0) continue;
      yield {
        name: `weights: ${base} ${utf8(name)} of type ${type}`,
        bytes: () => serialise(withTensorType(gguf, i, type)),
      };
    }
  }
}

function* others(bert: Uint8Array, quantised: Uint8Array): Generator<Mutation> {
  const text = (name: string, content: string): Mutation => ({
    name: `other: ${name}`,
    bytes: () => Buffer.from(content),
  });
  yield text("empty", "");
  yield text("a letter", "G");
  yield text("the magic", "GGUF");
  yield text("HTML", "<!doctype html><title>404</title>");
  yield text("a zip", "PK\x03\x04\x14\0\0\0\b\0");
  yield text("a Git LFS pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n");
  yield text("JSON", '{"GGUF": 3}');
  yield { name: "other: zeros", bytes: () => new Uint8Array(1 << 16) };
  yield {
    name: "other: zeros behind the magic",
    bytes: () => Buffer.concat([Buffer.from("GGUF"), new Uint8Array(1 << 16)]),
  };
  yield {
    name: "other: ones behind the magic",
    bytes: () => Buffer.concat([Buffer.from("GGUF"), new Uint8Array(1 << 16).fill(255)]),
  };
  yield { name: "other: twice", bytes: () => Buffer.concat([bert, bert]) };
  for (const share of [4, 2, 1.1]) {
    const at = (file: Uint8Array): number => Math.floor(file.length / share);
    yield {
      name: `other: another's tail from 1/${share}`,
      bytes: () => Buffer.concat([bert.subarray(0, at(bert)), quantised.subarray(at(quantised))]),
    };
  }
}
