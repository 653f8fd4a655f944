/** The JSON files of a checkpoint: reading them, and asking for a value of a kind with an error that names file and key. */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { LlamaError } from "../../ffi/errors.ts";
import { LONGEST_REASON, printable } from "../check.ts";
import { readingFile, refusal } from "../files.ts";

/** The largest real file, a tokenizer.json with 250,000 tokens, has 17 MB; parsing takes some ten times its size in memory. */
const MAX_BYTES = 200_000_000;

/** A JSON object out of a checkpoint, and where it comes from. */
export class Config {
  readonly #values: ReadonlyMap<string, unknown>;
  /** The file, with the path of keys to this object. */
  readonly #place: string;

  private constructor(values: object, place: string) {
    // A Map, since a key of a stranger's file may be "__proto__" or "constructor".
    this.#values = new Map(Object.entries(values));
    this.#place = place;
  }

  /**
   * Reads a file, or returns undefined where there is none.
   *
   * @throws {LlamaError} With code `"model-invalid"` if it is not a JSON object.
   */
  static async find(directory: string, file: string): Promise<Config | undefined> {
    const path = join(directory, file);
    const text = await findText(path);
    if (text === undefined) return undefined;
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (cause) {
      invalid(path, "it is not JSON", cause);
    }
    return Config.#of(value, path) ?? invalid(path, "it is not a JSON object");
  }

  /**
   * Reads a file that has to be there.
   *
   * @throws {LlamaError} With code `"model-invalid"` if it is missing or not a JSON object.
   */
  static async read(directory: string, file: string): Promise<Config> {
    return await Config.find(directory, file) ??
      invalid(join(directory, file), "there is no such file: the directory is not a checkpoint, or not all of one");
  }

  /** The keys, in the file's order. */
  keys(): IterableIterator<string> {
    return this.#values.keys();
  }

  /** Whether the key is there with another value than null. */
  has(key: string): boolean {
    return this.#get(key) !== undefined;
  }

  /** A whole number from 0 to 2³² − 1. */
  count(key: string, otherwise?: number): number {
    const value = this.#get(key) ?? otherwise;
    if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > 0xffffffff) {
      this.#wrong(key, "a whole number");
    }
    return value;
  }

  /** Any number. */
  number(key: string, otherwise?: number): number {
    const value = this.#get(key) ?? otherwise;
    if (typeof value !== "number") this.#wrong(key, "a number");
    return value;
  }

  /** True or false; undefined if missing or null. */
  flag(key: string): boolean | undefined {
    const value = this.#get(key);
    if (value !== undefined && typeof value !== "boolean") this.#wrong(key, "true or false");
    return value;
  }

  /** Text; undefined if missing or null. */
  text(key: string): string | undefined {
    const value = this.#get(key);
    if (value !== undefined && typeof value !== "string") this.#wrong(key, "text");
    return value;
  }

  /** Whether the value is text. */
  isText(key: string): boolean {
    return typeof this.#get(key) === "string";
  }

  /** An object, or a list as an object with the keys "0", "1", …; undefined if missing or null. */
  object(key: string): Config | undefined {
    const value = this.#get(key);
    if (value === undefined) return undefined;
    return Config.#of(value, `${this.#place}: ${key}`) ?? this.#wrong(key, "an object");
  }

  /** A list of objects; empty if missing or null. */
  objects(key: string): Config[] {
    return this.list(key).map((item, i) =>
      Config.#of(item, `${this.#place}: ${key}[${i}]`) ?? this.#wrong(key, "a list of objects")
    );
  }

  /** A list of texts; empty if missing or null. */
  texts(key: string): string[] {
    const items = this.list(key);
    if (!items.every((item) => typeof item === "string")) this.#wrong(key, "a list of texts");
    return items;
  }

  /** A list of anything; empty if missing or null. */
  list(key: string): unknown[] {
    const value = this.#get(key) ?? [];
    if (!Array.isArray(value)) this.#wrong(key, "a list");
    return value;
  }

  /** Throws that this library cannot handle what is here. */
  unsupported(reason: string): never {
    throw new LlamaError("model-unsupported", `${this.#place}: ${reason}`);
  }

  /** Throws that what is here contradicts itself or another file. */
  invalid(reason: string): never {
    invalid(this.#place, reason);
  }

  static #of(value: unknown, place: string): Config | undefined {
    return typeof value === "object" && value !== null ? new Config(value, place) : undefined;
  }

  #get(key: string): unknown {
    return this.#values.get(key) ?? undefined;
  }

  #wrong(key: string, expected: string): never {
    const value = this.#get(key);
    const found = value === undefined ? "is missing" : `is ${JSON.stringify(value).slice(0, 40)}`;
    invalid(this.#place, `${key} ${found}, expected ${expected}`);
  }
}

/**
 * Reads a text file of a checkpoint, or returns undefined where there is none.
 *
 * @throws {LlamaError} With code `"model-invalid"` if it is larger than any real one.
 */
export async function findText(path: string): Promise<string | undefined> {
  try {
    const { size } = await readingFile(path, () => stat(path));
    if (size > MAX_BYTES) invalid(path, `it has ${size} bytes, over the limit of ${MAX_BYTES}: it is something else`);
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    const reason = refusal(error);
    if (reason === undefined) throw error;
    invalid(path, `it cannot be read: ${reason}`, error);
  }
}

function invalid(place: string, reason: string, cause?: unknown): never {
  throw new LlamaError(
    "model-invalid",
    `${printable(place, undefined, LONGEST_REASON)}: ${printable(reason, undefined, LONGEST_REASON)}`,
    { cause },
  );
}
