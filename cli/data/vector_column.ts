/**
 * Writes the column chunk of vectors in a Parquet row group: `required group embedding (LIST)` of required floats.
 *
 * hyparquet-writer makes arrays of levels and of values for nested columns, a few bytes of each for every number. Here the levels are a few bytes a row, and the numbers are copied as they are.
 * Format: https://github.com/apache/parquet-format, README.md, Encodings.md and parquet.thrift.
 */
import type { ColumnChunk, SchemaElement } from "hyparquet";

/** The elements of the column in the file's schema. */
export const VECTOR_ELEMENTS: readonly SchemaElement[] = [
  {
    name: "embedding",
    repetition_type: "REQUIRED",
    num_children: 1,
    converted_type: "LIST",
    logical_type: { type: "LIST" },
  },
  { name: "list", repetition_type: "REPEATED", num_children: 1 },
  { name: "element", type: "FLOAT", repetition_type: "REQUIRED" },
];

/** Bytes of numbers in a page, at least. */
const PAGE = 1 << 20;

/** The chunk's bytes, made page by page as they are taken, each in place of the last one, and what the footer says of it. */
export function vectorChunk(
  vectors: readonly Float32Array[],
  offset: number,
): { bytes: Iterable<Uint8Array>; chunk: ColumnChunk } {
  const pages: { readonly head: Uint8Array; readonly vectors: readonly Float32Array[] }[] = [];
  let [size, count, largest] = [0, 0, 0];
  for (let from = 0; from < vectors.length;) {
    let to = from;
    let held = 0;
    for (; to < vectors.length && held < PAGE; to++) held += vectors[to]!.byteLength;
    const page = { head: headOf(vectors.slice(from, to)), vectors: vectors.slice(from, to) };
    pages.push(page);
    largest = Math.max(largest, held);
    size += page.head.length + held;
    count += held / Float32Array.BYTES_PER_ELEMENT;
    from = to;
  }
  function* bytes(): Generator<Uint8Array> {
    const numbers = new Uint8Array(largest); // of each page in turn: as garbage they would be as large as the vectors
    for (const page of pages) {
      yield page.head;
      yield writeNumbers(page.vectors, numbers);
    }
  }
  const chunk: ColumnChunk = {
    file_offset: BigInt(offset),
    meta_data: {
      type: "FLOAT",
      encodings: ["PLAIN", "RLE"],
      path_in_schema: ["embedding", "list", "element"],
      codec: "UNCOMPRESSED",
      num_values: BigInt(count),
      total_uncompressed_size: BigInt(size),
      total_compressed_size: BigInt(size),
      data_page_offset: BigInt(offset),
    },
  };
  return { bytes: bytes(), chunk };
}

/** What a data page, version 1, has before its numbers: its header and its levels. */
function headOf(vectors: readonly Float32Array[]): Uint8Array {
  const count = vectors.reduce((sum, { length }) => sum + length, 0);
  const levels: number[] = [];
  prefixed(levels, () => {
    for (const { length } of vectors) {
      run(levels, 1, 0); // a row begins
      if (length > 1) run(levels, length - 1, 1);
    }
  });
  prefixed(levels, () => run(levels, count, 1));
  const page = header(levels.length + count * Float32Array.BYTES_PER_ELEMENT, count);
  const head = new Uint8Array(page.length + levels.length);
  head.set(page);
  head.set(levels, page.length);
  return head;
}

/** Copies the numbers of vectors; little-endian, as Parquet has them. */
function writeNumbers(vectors: readonly Float32Array[], to: Uint8Array): Uint8Array {
  let at = 0;
  for (const { buffer, byteOffset, byteLength } of vectors) {
    to.set(new Uint8Array(buffer, byteOffset, byteLength), at);
    at += byteLength;
  }
  return to.subarray(0, at);
}

/** A run of equal levels, in the hybrid encoding of one bit. */
function run(to: number[], count: number, level: 0 | 1): void {
  varint(to, count * 2);
  to.push(level);
}

/** Writes levels with their length in bytes before them. */
function prefixed(to: number[], write: () => void): void {
  const at = to.push(0, 0, 0, 0) - 4;
  write();
  const length = to.length - at - 4;
  for (let i = 0; i < 4; i++) to[at + i] = (length >> (8 * i)) & 255;
}

/** PageHeader in Thrift's compact protocol. */
function header(size: number, values: number): number[] {
  const to: number[] = [];
  const field = (value: number): void => {
    to.push(0x15); // an i32, in the field behind the last one
    varint(to, value * 2); // zigzag
  };
  field(0); // type: DATA_PAGE
  field(size); // uncompressed_page_size
  field(size); // compressed_page_size
  to.push(0x2c); // data_page_header, a struct two fields on
  field(values); // num_values
  field(0); // encoding: PLAIN
  field(3); // definition_level_encoding: RLE
  field(3); // repetition_level_encoding: RLE
  to.push(0, 0); // both structs end
  return to;
}

function varint(to: number[], value: number): void {
  for (; value >= 128; value = Math.floor(value / 128)) to.push(value % 128 + 128);
  to.push(value);
}
