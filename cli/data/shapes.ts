/** Says which values a column of Parquet takes, by its schema, and how the writer takes them: what fits is read back as it is. */
import type { SchemaElement } from "hyparquet";
import { jsonOf, JsonText } from "./json.ts";
import { Counted, Day, Moment } from "./moments.ts";
import type { Value } from "./rows.ts";

/** What a schema's element, with those below it, means for values. */
export interface Shape {
  /** Whether a value that is not null, of whatever input, would be read back as it is. */
  readonly fits: (value: Value) => boolean;
  /** A value that fits, as the writer takes it. */
  readonly written: (value: Value) => unknown;
  /** Makes of what hyparquet reads a value that fits; undefined where it is one. */
  readonly read?: ((value: Value) => Value) | undefined;
}

interface Node {
  readonly element: SchemaElement;
  readonly children: readonly Node[];
}

const INT32 = [-(2 ** 31), 2 ** 31 - 1] as const;
const INT64 = [-(2n ** 63n), 2n ** 63n - 1n] as const;
/** Digits of a decimal that a double holds whatever they are. */
export const EXACT_DIGITS = 15;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const WHOLE = /^(0|-?[1-9]\d*)$/;

const shapes = new WeakMap<readonly SchemaElement[], Shape>();

/** The shape of a column, of its element and those below, which is made once. */
export function shapeOf(elements: readonly SchemaElement[]): Shape {
  let shape = shapes.get(elements);
  if (!shape) shapes.set(elements, shape = ofNode(treeOf(elements)));
  return shape;
}

/** A text, also where the schema does not say that it is one; bytes that are no UTF-8 stay what they are. */
export function textOf(value: Value | undefined): Value | undefined {
  if (!(value instanceof Uint8Array)) return value;
  try {
    return decoder.decode(value);
  } catch {
    return value;
  }
}

/** Whether this is a whole number that is exact. */
export function isWhole(value: Value): value is number | bigint {
  return typeof value === "bigint" || Number.isSafeInteger(value) && !Object.is(value, -0);
}

function treeOf(elements: readonly SchemaElement[]): Node {
  let at = 0;
  const next = (): Node => {
    const element = elements[at++]!;
    return { element, children: Array.from({ length: element.num_children ?? 0 }, next) };
  };
  return next();
}

const itself = (value: Value): unknown => value;
const shape = (fits: Shape["fits"], written: Shape["written"] = itself): Shape => ({ fits, written });
const NOTHING = shape(() => false);

/** Whether the writer can write such a column: it fails at a repeated element outside the usual layouts of lists and maps. */
export function isWritable(elements: readonly SchemaElement[]): boolean {
  const every = (node: Node): boolean => layoutOf(node) !== undefined && partsOf(node).every(every);
  return every(treeOf(elements));
}

type Layout = "leaf" | "list" | "map" | "struct";

/** How values are laid out below an element; undefined where it is none of the usual ways. */
function layoutOf({ element: { repetition_type, converted_type, num_children }, children }: Node): Layout | undefined {
  if (repetition_type === "REPEATED") return undefined;
  if (!num_children) return "leaf";
  if (converted_type !== "LIST" && converted_type !== "MAP") return "struct";
  const [inner] = children as [Node];
  if (children.length !== 1 || inner.element.repetition_type !== "REPEATED") return undefined;
  if (converted_type === "LIST") return inner.children.length === 1 ? "list" : undefined;
  return inner.children.map(({ element }) => element.name).join() === "key,value" ? "map" : undefined;
}

/** The nodes of the values within one: those of a list or map are below its repeated group. */
function partsOf(node: Node): readonly Node[] {
  const layout = layoutOf(node);
  return layout === "list" || layout === "map" ? node.children[0]!.children : node.children;
}

function ofNode(node: Node): Shape {
  const parts = partsOf(node);
  switch (layoutOf(node)) {
    case "leaf":
      return ofLeaf(node.element);
    case "list":
      return ofList(parts[0]!);
    case "map":
      return ofMap(parts as readonly [Node, Node]);
    case "struct":
      return ofStruct(parts);
    default:
      return NOTHING;
  }
}

/** Whether a value may stand in a place of a list, map or struct. */
function placeOf({ element }: Node, { fits }: Shape): (value: Value | undefined) => boolean {
  const optional = element.repetition_type === "OPTIONAL";
  return (value) => value === undefined || value === null ? optional : fits(value);
}

/** Null stays null. */
function given<T>(make: (value: Value) => T): (value: Value | undefined) => T | null {
  return (value) => value === undefined || value === null ? null : make(value);
}

function ofList(node: Node): Shape {
  const item = ofNode(node);
  const [place, written, read] = [placeOf(node, item), given(item.written), item.read && given(item.read)];
  return {
    fits: (value) => Array.isArray(value) && value.every(place),
    written: (value) => (value as Value[]).map(written),
    read: read && ((value) => (value as Value[]).map(read)),
  };
}

function isRecord(value: Value): value is Record<string, Value | undefined> {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

/** Makes each value of a record another. */
function mapped(record: Value, make: (value: Value | undefined, name: string) => Value): Value {
  return Object.fromEntries(Object.entries(record as object).map(([name, value]) => [name, make(value, name)]));
}

/** A field that is not there is null, where it may be; a field that the schema does not have would be lost. */
function ofStruct(nodes: readonly Node[]): Shape {
  const fields = new Map(nodes.map((node) => {
    const field = ofNode(node);
    const read = field.read && given(field.read);
    return [node.element.name, { place: placeOf(node, field), written: given(field.written), read }];
  }));
  const own = (value: Value, name: string) => Object.hasOwn(value as object, name) ? (value as never)[name] : null;
  const reads = fields.values().some(({ read }) => read !== undefined);
  return {
    fits: (value) =>
      isRecord(value) && Object.keys(value).every((name) => fields.has(name)) &&
      fields.entries().every(([name, { place }]) => place(own(value, name))),
    written: (value) =>
      Object.fromEntries(fields.entries().map(([name, { written }]) => [name, written(own(value, name))])),
    read: reads
      ? (value) => mapped(value, (one, name) => (fields.get(name)?.read ?? itself)(one as Value) as Value)
      : undefined,
  };
}

/** A record has its keys as text; hyparquet reads keys of whole numbers so, and loses what others are. */
function ofMap([keyNode, node]: readonly [Node, Node]): Shape {
  const [key, item] = [ofNode(keyNode), ofNode(node)];
  const numbers = rangeOf(keyNode.element) !== undefined;
  if (!numbers && !isText(keyNode.element)) return NOTHING;
  const fitsKey = numbers
    ? (name: string) => WHOLE.test(name) && key.fits(BigInt(name))
    : (name: string) => name !== "__proto__" && key.fits(name);
  const keyOf = numbers ? (name: string) => key.written(BigInt(name)) : (name: string) => name;
  const [place, written, read] = [placeOf(node, item), given(item.written), item.read && given(item.read)];
  return {
    fits: (value) => isRecord(value) && Object.entries(value).every(([name, one]) => fitsKey(name) && place(one)),
    written: (value) =>
      Object.entries(value as object).map(([name, one]) => ({ key: keyOf(name), value: written(one as Value) })),
    read: read && ((value) => mapped(value, (one) => read(one) as Value)),
  };
}

function ofLeaf(element: SchemaElement): Shape {
  const { type, converted_type: mark, logical_type: logical } = element;
  if (mark === "DECIMAL") return ofDecimal(element);
  if (logical?.type === "NULL") return NOTHING;
  if (type === "INT96" || type === "INT64" && (mark?.startsWith("TIMESTAMP") || logical?.type === "TIMESTAMP")) {
    return ofMoment(element);
  }
  if (mark === "DATE") {
    return shape((value) => value instanceof Day && isIn(value.days, INT32), (value) => (value as Day).days);
  }
  if (type === "BOOLEAN") return shape((value) => typeof value === "boolean");
  if (type === "INT32" || type === "INT64") return ofInteger(element);
  if (type === "FLOAT") return shape((value) => typeof value === "number" && Object.is(Math.fround(value), value));
  if (type === "DOUBLE") return shape((value) => typeof value === "number");
  if (type === "BYTE_ARRAY") return ofBytes(element);
  return type === "FIXED_LEN_BYTE_ARRAY" ? ofFixed(element) : NOTHING;
}

/** hyparquet reads a decimal as a double and the writer rounds one: what comes back is compared. */
function ofDecimal({ type, type_length: length, precision = EXACT_DIGITS, scale = 0 }: SchemaElement): Shape {
  const factor = 10 ** scale;
  const bits = type === "INT32" ? 31 : type === "INT64" || !length ? 63 : 8 * length - 1;
  const limit = Math.min(10 ** Math.min(precision, EXACT_DIGITS), 2 ** bits);
  return shape((value) => {
    if (typeof value !== "number" || Object.is(value, -0)) return false;
    const unscaled = Math.round(value * factor);
    return Math.abs(unscaled) < limit && unscaled / factor === value;
  });
}

function ofMoment({ type, converted_type: mark, logical_type: logical }: SchemaElement): Shape {
  const unit = mark?.startsWith("TIMESTAMP_")
    ? mark.slice("TIMESTAMP_".length)
    : logical && "unit" in logical && logical.unit;
  const digits = type === "INT96" || unit === "NANOS" ? 9 : unit === "MICROS" ? 6 : 3;
  return shape(
    (value) => value instanceof Moment && value.digits === digits && isIn(value.value, INT64),
    (value) => (value as Moment).value,
  );
}

function ofInteger(element: SchemaElement): Shape {
  const range = rangeOf(element);
  const number = element.type === "INT64" ? BigInt : Number;
  if (range) return shape((value) => isIn(value, range), (value) => number(value as number | bigint));
  const all = element.type === "INT64" ? INT64 : INT32;
  return {
    fits: (value) => value instanceof Counted && isIn(value.value, all),
    written: (value) => number((value as Counted).value),
    read: (value) => new Counted(value as number | bigint),
  };
}

function isIn(value: Value, [least, most]: readonly [number | bigint, number | bigint]): boolean {
  return isWhole(value) && value >= least && value <= most;
}

/** The smallest and the largest of a column of whole numbers; undefined where they stand for something else, such as a time. */
function rangeOf(
  { type, converted_type, logical_type }: SchemaElement,
): [number | bigint, number | bigint] | undefined {
  if (type !== "INT32" && type !== "INT64") return undefined;
  const marked = /^(U?)INT_(\d+)$/.exec(converted_type ?? "");
  const plain = converted_type === undefined && logical_type === undefined;
  if (!marked && !plain && logical_type?.type !== "INTEGER") return undefined;
  const { bitWidth: bits, isSigned } = logical_type?.type === "INTEGER"
    ? logical_type
    : { bitWidth: marked ? Number(marked[2]) : type === "INT32" ? 32 : 64, isSigned: marked?.[1] !== "U" };
  const half = 1n << BigInt(bits - 1);
  return isSigned ? [-half, half - 1n] : [0, 2n * half - 1n];
}

function isText({ type, converted_type: mark, logical_type: logical }: SchemaElement): boolean {
  return type === "BYTE_ARRAY" && (mark === "UTF8" || mark === undefined && logical?.type === "STRING");
}

function ofBytes(element: SchemaElement): Shape {
  const { converted_type: mark, logical_type: logical } = element;
  if (mark === "JSON" || logical?.type === "JSON") return ofJson(mark === "JSON");
  const isString = (value: Value) => typeof value === "string" && value.isWellFormed();
  // What is no UTF-8 stays bytes in a column of text, too: hyparquet reads it so.
  if (isText(element)) {
    return shape((value) => isString(value) || value instanceof Uint8Array && textOf(value) === value);
  }
  // Many writers leave their texts unmarked.
  return shape(
    (value) => isString(value) || value instanceof Uint8Array,
    (value) => typeof value === "string" ? encoder.encode(value) : value,
  );
}

/** JSON of Parquet keeps its bytes, and a value of another input becomes JSON; hyparquet reads bytes where it has the new mark alone. */
function ofJson(marked: boolean): Shape {
  return shape(
    (value) => value instanceof JsonText || !marked && value instanceof Uint8Array || isJson(value),
    (value) =>
      value instanceof JsonText ? value.bytes : value instanceof Uint8Array ? value : encoder.encode(jsonOf(value)),
  );
}

function isJson(value: Value | undefined): boolean {
  if (typeof value === "number") return Number.isFinite(value) && !Object.is(value, -0);
  if (typeof value !== "object" || value === null) return value !== undefined;
  return Array.isArray(value) ? value.every(isJson) : isRecord(value) && Object.values(value).every(isJson);
}

function ofFixed({ type_length: length = 0, logical_type: logical }: SchemaElement): Shape {
  if (logical?.type === "UUID") return shape((value) => typeof value === "string" && UUID.test(value));
  if (logical?.type === "FLOAT16") return shape((value) => typeof value === "number" && isHalf(value));
  return shape((value) => value instanceof Uint8Array && value.length === length);
}

/** Whether 16 bits hold a number: 11 binary digits, the last of which is worth 2^-24 or more. */
function isHalf(value: number): boolean {
  const size = Math.abs(value);
  if (size === 0 || !Number.isFinite(value)) return true;
  return size <= 65504 && size % 2 ** Math.max(Math.floor(Math.log2(size)) - 10, -24) === 0;
}
