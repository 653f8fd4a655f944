/** Writes rows with their vectors as Parquet: row groups that are appended, and a footer that is made of notes. */
import type { KeyValue, RowGroup, SchemaElement } from "hyparquet";
import { ByteWriter, ParquetWriter } from "hyparquet-writer";
import { type Column, elementOf, writable, writableValue } from "./columns.ts";
import type { Encoder, OutputRow } from "./output.ts";
import { VECTOR_ELEMENTS, vectorChunk } from "./vector_column.ts";

/** Names that a Parquet file has of its own. */
export const PARQUET_NAMES = ["id", "embedding", "tokens", "truncated"] as const;

/** The mark that a file begins and ends with: the writer puts it before whatever it writes. */
const MARK = 4;
const CREATED_BY = "llamasaur";

/**
 * An encoder of Parquet.
 *
 * @param columns The id's and the kept ones.
 * @param metadata Of the file, by key.
 */
export function parquetEncoder(columns: readonly Column[], metadata: Readonly<Record<string, string>>): Encoder {
  const before = columns.flatMap(({ name, type, elements }) =>
    elements ? writable(named(elements, name)) : [elementOf(name, type!)]
  );
  const behind: SchemaElement[] = [
    { name: "tokens", type: "INT32", repetition_type: "REQUIRED" },
    { name: "truncated", type: "BOOLEAN", repetition_type: "REQUIRED" },
  ];
  const root = { name: "schema", num_children: columns.length + 3 };
  const schema: SchemaElement[] = [root, ...before, ...VECTOR_ELEMENTS, ...behind];
  const kvMetadata: KeyValue[] = Object.entries(metadata).map(([key, value]) => ({ key, value }));
  const leavesBefore = before.filter(({ type }) => type !== undefined).length;

  /** hyparquet-writer, made to go on at an offset. */
  function writerAt(
    offset: number,
    schema: SchemaElement[],
  ): { readonly parquet: ParquetWriter; readonly bytes: () => Uint8Array } {
    const writer = new ByteWriter();
    writer.offset = Math.max(0, offset - MARK);
    // The writer's types are those of the hyparquet that it was made for.
    const elements = schema as ParquetWriter["schema"];
    const parquet = new ParquetWriter({ writer, schema: elements, kvMetadata, createdBy: CREATED_BY });
    return { parquet, bytes: () => writer.getBytes().subarray(offset === 0 ? 0 : MARK) };
  }

  function group(rows: readonly OutputRow[], offset: number): ReturnType<Encoder["group"]> {
    const { parquet, bytes } = writerAt(offset, schema);
    const data = (name: string, values: unknown[]) => {
      // The writer's dictionary would make -0 of 0 or the other way round, whichever comes later.
      const plain = values.some(hasNegativeZero) ? { encoding: "PLAIN" as const } : {};
      return { name, data: values, offsetIndex: false, ...plain };
    };
    void parquet.write({
      columnData: [
        ...columns.map((column, i) => {
          return data(column.name, rows.map(({ id, kept }) => writableValue(i === 0 ? id : kept[column.name], column)));
        }),
        data("tokens", rows.map(({ tokens }) => tokens)),
        data("truncated", rows.map(({ truncated }) => truncated)),
      ],
      rowGroupSize: rows.length,
    });
    const written = bytes();
    const vectors = vectorChunk(rows.map(({ embedding }) => embedding), offset + written.length);
    const [{ columns: others, ...sizes }] = parquet.row_groups as [RowGroup];
    const { total_compressed_size: size } = vectors.chunk.meta_data!;
    const note: RowGroup = {
      ...sizes,
      columns: [...others.slice(0, leavesBefore), vectors.chunk, ...others.slice(leavesBefore)],
      total_byte_size: sizes.total_byte_size + size,
      total_compressed_size: (sizes.total_compressed_size ?? 0n) + size,
    };
    function* all(): Generator<Uint8Array> {
      yield written;
      yield* vectors.bytes;
    }
    return { bytes: all(), note: JSON.stringify(toJson(note)) };
  }

  function end(notes: readonly string[], offset: number): Uint8Array {
    const { parquet, bytes } = writerAt(offset, schema.map(annotated));
    parquet.row_groups = new Lazy(notes.length, (i) => fromJson(JSON.parse(notes[i]!)) as Group);
    for (const { num_rows } of parquet.row_groups) parquet.num_rows += num_rows;
    void parquet.finish();
    return bytes();
  }
  return { group, end };
}

type Group = ParquetWriter["row_groups"][number];

/**
 * An array that makes each element anew when it is gone through. The writer maps the row groups to what it writes, and goes
 * through that: objects of thousands of them would be a quarter of a job's memory.
 */
class Lazy<Element> extends Array<Element> {
  readonly #make: (index: number) => Element;

  constructor(length: number, make: (index: number) => Element) {
    super(length);
    this.#make = make;
  }

  override map<To>(to: (element: Element, index: number, all: Element[]) => To): To[] {
    return new Lazy(this.length, (i) => to(this.#make(i), i, this));
  }

  override *[Symbol.iterator](): ArrayIterator<Element> {
    for (let i = 0; i < this.length; i++) yield this.#make(i);
  }
}

/** An element as the footer has it: JSON is marked in the old way, too, which would make the writer encode it once more. */
function annotated(element: SchemaElement): SchemaElement {
  return element.logical_type?.type === "JSON" ? { ...element, converted_type: "JSON" } : element;
}

function hasNegativeZero(value: unknown): boolean {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return Object.is(value, -0);
  return (Array.isArray(value) ? value : Object.values(value)).some(hasNegativeZero);
}

/** The elements of a column under another name: an id's. */
function named([first, ...below]: readonly SchemaElement[], name: string): SchemaElement[] {
  return [{ ...first!, name }, ...below];
}

// JSON has no BigInt, bytes and Date, of which the notes of a row group are made.
const TAGS = { bigint: "$n", bytes: "$b", date: "$d" } as const;

function toJson(value: unknown): unknown {
  if (typeof value === "bigint") return { [TAGS.bigint]: value.toString() };
  if (value instanceof Uint8Array) return { [TAGS.bytes]: [...value] };
  if (value instanceof Date) return { [TAGS.date]: value.getTime() };
  if (Array.isArray(value)) return value.map(toJson);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, toJson(one)]));
}

function fromJson(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(fromJson);
  if (typeof value !== "object" || value === null) return value;
  const [[tag, one] = ["", undefined], ...more] = Object.entries(value);
  if (more.length === 0 && tag === TAGS.bigint) return BigInt(one as string);
  if (more.length === 0 && tag === TAGS.bytes) return new Uint8Array(one as number[]);
  if (more.length === 0 && tag === TAGS.date) return new Date(one as number);
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, fromJson(each)]));
}
