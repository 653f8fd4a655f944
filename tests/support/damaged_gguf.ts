// Damages in GGUF files that llama.cpp answers with an assertion: bytes changed in place in an otherwise good file.
import { Buffer } from "node:buffer";
import { readFileSync, writeFileSync } from "node:fs";

/** Where the value of a metadata key begins: behind the key and the number of the value's type. */
function valueAt(file: Buffer, key: string): number {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(key.length));
  const at = file.indexOf(Buffer.concat([length, Buffer.from(key)]));
  if (at < 0) throw new Error(`The file has no key ${key}`);
  return at + 8 + key.length + 4;
}

/** Copies a GGUF file with another number under a u32 key. */
export function withNumber(input: string, output: string, key: string, value: number): string {
  const file = readFileSync(input);
  file.writeUInt32LE(value, valueAt(file, key));
  writeFileSync(output, file);
  return output;
}

/** Copies a GGUF file with the vocabulary's second token also in the place of another of its length. */
export function withTokenTwice(input: string, output: string): string {
  const file = readFileSync(input);
  let at = valueAt(file, "tokenizer.ggml.tokens") + 4 + 8;
  let first: Buffer | undefined;
  for (let i = 0; i < 1000; i++) {
    const text = file.subarray(at + 8, at += 8 + Number(file.readBigUInt64LE(at)));
    if (i === 1) first = text;
    else if (first?.length === text.length) {
      first.copy(text);
      writeFileSync(output, file);
      return output;
    }
  }
  throw new Error("The file has no two tokens of one length");
}
