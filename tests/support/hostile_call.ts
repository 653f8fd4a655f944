// One call with one argument replaced by any value: what must come of it.
import { isAbsolute, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Call } from "./calls.ts";
import { Trap } from "./hostile.ts";

// What a runtime says when code of ours touched a value that it had not looked at.
const RAW =
  /undefined is not|null is not|is not a function|Cannot read propert|is not iterable|Cannot convert|Invalid array length|is not an object|ERR_INVALID|malformed/i;
// What must not stand in a message: it would begin a terminal's escape, turn the reading direction, or break the line.
const UNPRINTABLE = /[^\P{Cc}\n]|[\p{Cf}\p{Cs}]/u;
const LONGEST = 4000;
const PATIENCE = 60_000; // ms

/** Replaces an argument of a call, or a key of one: `2`, `2.topN`. */
function replaced(call: Call, key: string, value: unknown): unknown[] {
  const [index, name] = key.split(".");
  const args = [...call.args];
  args[Number(index)] = name === undefined ? value : { ...args[Number(index)] as object, [name]: value };
  return args;
}

/** The words by which a value must be refused; undefined if it may be taken, or its own code throws. */
function refusalOf(call: Call, key: string, value: unknown): string | undefined {
  try {
    return call.refusals[key]!(value);
  } catch {
    return undefined;
  }
}

/** Where a file may be written whose name is anything. */
function harmless(directory: string, value: unknown): string {
  const name = typeof value === "string" ? value.replaceAll(/[\\/]/g, "-").slice(0, 60) : "odd";
  const path = join(directory, `out ${name}`);
  if (!isAbsolute(path) || !path.startsWith(directory)) throw new Error(`Cannot write to ${path} in a test`);
  return path;
}

/**
 * Makes the call.
 *
 * @returns What is wrong with how it ended; undefined if nothing.
 */
export async function tryCall(call: Call, key: string, given: unknown, directory: string): Promise<string | undefined> {
  const refusal = refusalOf(call, key, given);
  const value = key === call.written && refusal === undefined ? harmless(directory, given) : given;
  const what = `${call.name}(${key})`;
  let promise: unknown;
  let error: unknown;
  try {
    promise = call.run(...replaced(call, key, value));
    if (call.sync !== true && !(promise instanceof Promise)) return `${what} gave no promise`;
  } catch (thrown) {
    if (!call.sync) return `${what} threw ${thrown} before its promise was there`;
    error = thrown;
  }
  if (promise instanceof Promise) {
    const late = new AbortController();
    const end = promise.then(() => undefined, (reason: unknown) => reason);
    const timeout = sleep(PATIENCE, "late", { signal: late.signal }).catch(() => undefined);
    error = await Promise.race([end, timeout]);
    late.abort();
    if (error === "late") return `${what} did not end`;
  }
  return wrongError(what, error, refusal);
}

function wrongError(what: string, error: unknown, refusal: string | undefined): string | undefined {
  if (error === undefined) return refusal === undefined ? undefined : `${what} took what it must refuse: ${refusal}`;
  if (error instanceof Trap) return undefined; // the value's own code
  if (!(error instanceof Error)) return `${what} failed with ${String(error)}, which is no Error`;
  const words = `${error.name}: ${error.message}`;
  if (UNPRINTABLE.test(words)) return `${what} fails with what cannot be printed: ${JSON.stringify(words)}`;
  if (words.length > LONGEST) return `${what} fails with ${words.length} letters: ${words.slice(0, 300)}`;
  if (refusal === undefined) {
    return RAW.test(error.message) ? `${what} failed in the runtime's words: ${words}` : undefined;
  }
  if (!(error instanceof TypeError || error instanceof RangeError)) return `${what} refused by ${words}`;
  return error.message.includes(refusal) ? undefined : `${what} does not name ${refusal}: ${words}`;
}
