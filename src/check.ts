/** What is wrong with an argument: a TypeError or RangeError that names it, its value and what is allowed. */
import { fileURLToPath } from "node:url";
import { type Check, type Checked, type Checks, readOptions } from "../ffi/host/options.ts";
import { isFolder } from "../ffi/host/permission.ts";
import { LONGEST_REASON, printable } from "../ffi/host/printable.ts";
import { forEachInSlices } from "./slices.ts";

export { type Check, type Checked, type Checks, isFolder, LONGEST_REASON, printable };

const MOST_ITEMS = 2 ** 32 - 1; // of a JavaScript array

/**
 * Checks that a value is a string of well-formed Unicode.
 *
 * @param name The argument's, with its index.
 * @param ofObject What the caller can do with an object, for the message.
 */
export function checkText(name: string, value: unknown, ofObject?: string): string {
  if (typeof value !== "string") {
    const remedy = ofObject !== undefined && typeof value === "object" && value !== null ? `; ${ofObject}` : "";
    throw new TypeError(`Cannot read ${name}: it must be a string, is ${show(value)}${remedy}`);
  }
  if (!value.isWellFormed()) {
    const at = loneSurrogate(value);
    const unit = value.charCodeAt(at).toString(16).toUpperCase();
    throw new TypeError(
      `Cannot read ${name}: it has a lone surrogate U+${unit} at index ${at}; text.toWellFormed() replaces such`,
    );
  }
  return value;
}

/** Checks a short list of texts; the message names the index of the bad one. */
export function checkTexts(name: string, value: unknown): string[] {
  return copyList(name, value).map((item, i) => checkText(`${name}[${i}]`, item));
}

/** Checks that a text or a list is to be embedded, and gives a list whose items are yet to be checked. */
export function copyInput(input: unknown): unknown[] {
  if (typeof input === "string") return [input];
  if (Array.isArray(input)) return copyList("input", input);
  throw new TypeError(`Cannot embed: input must be a string or an array of strings, is ${show(input)}`);
}

/**
 * Checks that a value is a list and copies it, so that a later change to it does no harm; a hole is undefined.
 *
 * @param anything Whether items may be undefined. Else the copy ends with the first, which is refused when it is checked: a
 * list may claim a length that nobody could wait for.
 */
export function copyList(name: string, value: unknown, anything = false): unknown[] {
  if (!Array.isArray(value)) throw new TypeError(`Cannot read ${name}: it must be an array, is ${show(value)}`);
  const { length } = value;
  if (!(Number.isInteger(length) && length >= 0 && length <= MOST_ITEMS)) { // a Proxy may say anything
    throw new TypeError(`Cannot read ${name}: it must be an array, its length is ${show(length)}`);
  }
  const list: unknown[] = [];
  for (let i = 0; i < length; i++) {
    list.push(value[i]);
    if (!anything && list[i] === undefined) break;
  }
  return list;
}

/**
 * Checks lengths in tokens, a single one or array-like, and copies them.
 *
 * @param most What a longer one becomes.
 */
export async function checkLengths(name: string, value: unknown, most: number): Promise<Uint32Array> {
  const copy = copyNumbers(name, typeof value === "number" ? [value] : value);
  const lengths = new Uint32Array(copy.length);
  const refuse = integer(0);
  await forEachInSlices(copy.length, (i) => {
    const length = copy[i];
    if (!(Number.isSafeInteger(length) && length as number >= 0)) refuse(`${name}[${i}]`, length);
    lengths[i] = Math.min(length as number, most);
  });
  return lengths;
}

/**
 * Checks ids of tokens, array-like, and copies them.
 *
 * @param count Entries of the vocabulary.
 */
export async function checkIds(name: string, value: unknown, count: number): Promise<Int32Array> {
  const copy = copyNumbers(name, value);
  const ids = new Int32Array(copy.length);
  const check = integer(0, count - 1);
  await forEachInSlices(copy.length, (i) => void (ids[i] = check(`${name}[${i}]`, copy[i])));
  return ids;
}

/** Copies a list or a typed array; its items are yet to be checked. */
function copyNumbers(name: string, value: unknown): unknown[] {
  const typed = ArrayBuffer.isView(value) && !(value instanceof DataView);
  return copyList(name, typed ? Array.from(value as unknown as ArrayLike<unknown>) : value);
}

/** Checks a path or `file:` URL, as a string or a URL, and gives the path. */
export function checkPath(name: string, value: unknown): string {
  if (typeof value !== "string" && !(value instanceof URL)) {
    throw new TypeError(`Cannot read ${name}: it must be a path or a file: URL, is ${show(value)}`);
  }
  const address = addressOf(value);
  if (address !== undefined) {
    throw new TypeError(`Cannot read ${name}: it must be a path or a file: URL of this machine, is ${show(address)}`);
  }
  const path = value instanceof URL || /^file:/i.test(value) ? pathOfUrl(name, value) : checkText(name, value);
  // The system's functions end a path at a NUL: another file than the one named would be opened.
  if (path === "" || path.includes("\0")) {
    throw new RangeError(`Cannot read ${name}: it must be a path, not empty and without NUL, is ${show(path)}`);
  }
  return path;
}

/**
 * The address that a value is, for a message: without a user's name and password, and without its query, in which a signature may
 * be. Undefined for a path and a `file:` URL; a scheme of one letter is a drive of Windows.
 */
export function addressOf(value: string | URL): string | undefined {
  if (!(value instanceof URL)) {
    if (!/^(https?:|(?!file:)[a-z][a-z0-9+.-]+:\/\/)/i.test(value)) return undefined;
    const url = URL.parse(value);
    return url === null ? value.replace(/:.*$/su, ":…") : withoutSecrets(url);
  }
  try {
    return value.protocol === "file:" ? undefined : withoutSecrets(value);
  } catch {
    return undefined; // a Proxy of a URL, which pathOfUrl refuses
  }
}

function withoutSecrets({ protocol, host, pathname }: URL): string {
  return `${protocol}//${host}${pathname}`;
}

function pathOfUrl(name: string, url: string | URL): string {
  try {
    return fileURLToPath(url);
  } catch (error) {
    throw new TypeError(`Cannot read ${name}: it must be a file: URL of this machine (${(error as Error).message})`, {
      cause: error,
    });
  }
}

/**
 * Checks and copies the options of a call; see {@linkcode readOptions}.
 *
 * @throws {TypeError} when they are no object, or have an option that does not exist; the message names the nearest one.
 */
export function checkOptions<Options extends object>(options: Options, checks: Checks<Options>): Checked<Options> {
  if (!isRecord(options)) {
    throw new TypeError(`Cannot read options: it must be an object, is ${show(options)}`);
  }
  return readOptions(options, checks);
}

/** Whether a value is an object that holds options: a literal, one of a class, a module; no Promise, Map, AbortSignal or Date. */
function isRecord(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  try {
    return /^\[object (Object|Module)\]$/.test(Object.prototype.toString.call(value));
  } catch {
    return false; // a Proxy that was revoked or throws
  }
}

/** A check for an integer in a range, ends included. */
export function integer(min: number, max: number = Number.MAX_SAFE_INTEGER): Check<number> {
  return (name, value) => {
    if (typeof value !== "number") throw new TypeError(`Cannot read ${name}: it must be an integer, is ${show(value)}`);
    if (Number.isInteger(value) && value >= min && value <= max) return value;
    const range = max === Number.MAX_SAFE_INTEGER ? `from ${min}` : `from ${min} to ${max}`;
    throw new RangeError(`Cannot read ${name}: it must be an integer ${range}, is ${value}`);
  };
}

/** A check for one of some words. */
export function word<Word extends string>(allowed: readonly Word[]): Check<Word> {
  return (name, value) => {
    if (allowed.includes(value as Word)) return value as Word;
    const list = allowed.map((one) => `"${one}"`).join(", ");
    throw new (typeof value === "string" ? RangeError : TypeError)(
      `Cannot read ${name}: it must be one of ${list}, is ${show(value)}`,
    );
  };
}

/** Checks that a value is true or false. */
export function boolean(name: string, value: unknown): boolean {
  if (typeof value === "boolean") return value;
  throw new TypeError(`Cannot read ${name}: it must be true or false, is ${show(value)}`);
}

/** Checks that a value is an AbortSignal. */
export function signal(name: string, value: unknown): AbortSignal {
  if (value instanceof AbortSignal) return value;
  throw new TypeError(`Cannot read ${name}: it must be an AbortSignal, is ${show(value)}`);
}

/** Checks that a value is a function; what it takes and gives cannot be checked. */
export function callback<Callback>(name: string, value: unknown): Callback {
  if (typeof value === "function") return value as Callback;
  throw new TypeError(`Cannot read ${name}: it must be a function, is ${show(value)}`);
}

/** The remedy for a path that a shell would have made another of; "" where there is none. */
export function unexpanded(path: string): string {
  if (/^~|[\\/]~([\\/]|$)/.test(path)) return '"~" is not expanded here: write the home folder out';
  if (/\$\{?\w|%\w+%/.test(path)) return "variables are not expanded here: write the folder out";
  return "";
}

/** A value as it should appear in a message: short, and without running the value's own code. */
export function show(value: unknown): string {
  if (typeof value === "string") {
    return printable(JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value));
  }
  if (typeof value === "bigint") return BigInt.asIntN(64, value) === value ? `${value}n` : "a bigint";
  if (typeof value === "function") return "a function";
  if (typeof value === "symbol") return "a symbol";
  if (typeof value === "object" && value !== null) return kindOf(value);
  return String(value);
}

function kindOf(value: object): string {
  try {
    if (Array.isArray(value)) return "an array";
    if (ArrayBuffer.isView(value)) return "a typed array";
    if (value instanceof AbortSignal) return "an AbortSignal: pass { signal }";
    return value instanceof Promise ? "a promise: await it" : "an object";
  } catch {
    return "an object"; // a Proxy that was revoked or throws
  }
}

function loneSurrogate(text: string): number {
  for (let i = 0; i < text.length; i++) {
    const code = text.codePointAt(i)!;
    if (code >= 0xd800 && code <= 0xdfff) return i;
    if (code > 0xffff) i++;
  }
  return -1;
}
