// GGUF files made of others for the tests, by the product's own writer.
import { type GgufTensor, type GgufValue, writeGguf } from "../../src/convert/gguf.ts";
import { type Field, readGguf } from "./gguf_reader.ts";

/** A value as it is to be written, by the number of its type in the file. */
export function valueOf([key, { type, value }]: [string, Field]): [string, GgufValue] {
  const list = Array.isArray(value);
  if (type === 0 && list) return [key, { u8s: Uint8Array.from(value as number[]) }];
  if (type === 4 && !list) return [key, { u32: value as number }];
  if (type === 5 && list) return [key, { i32s: value as number[] }];
  if (type === 6) return [key, list ? { f32s: value as number[] } : { f32: value as number }];
  if (type === 7 && !list) return [key, { bool: value as boolean }];
  if (type === 8) return [key, list ? { strings: value as string[] } : { string: value as string }];
  throw new Error(`${key} has type ${type}`);
}

/** Writes a file again, f32 as it is, without some of its tensors or keys, and with more keys. */
export async function writeWithout(
  from: string,
  to: string,
  names: RegExp,
  keys: RegExp = /^$/,
  more: [string, GgufValue][] = [],
): Promise<void> {
  const { metadata, tensors } = readGguf(from);
  const kept = [...tensors].filter(([name]) => !names.test(name));
  await writeGguf(
    to,
    new Map([...metadata].filter(([key]) => !keys.test(key)).map(valueOf).concat(more)),
    kept.map(([name, { shape, data }]): GgufTensor => {
      const values = new Float32Array(data.slice().buffer);
      return {
        name,
        shape,
        floats: async function* () {
          yield values;
        },
      };
    }),
  );
}
