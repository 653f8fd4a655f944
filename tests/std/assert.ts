// A stand-in for jsr:@std/assert on node:assert/strict: the same names and signatures, so that only the mapping would change.
// (`msg!`: node's types have no undefined message; its code has.)
import * as node from "node:assert/strict";

type ErrorClass<E> = abstract new (...args: never[]) => E;
export { AssertionError } from "node:assert/strict";
export function assert(condition: unknown, msg = ""): asserts condition {
  node.ok(condition, msg || "Expected a truthy value");
}
export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  node.deepStrictEqual(actual, expected, msg!);
}
export function assertStrictEquals<T>(actual: unknown, expected: T, msg?: string): asserts actual is T {
  node.strictEqual(actual, expected, msg!);
}
export function assertAlmostEquals(actual: number, expected: number, tolerance?: number, msg?: string): void {
  const limit = tolerance ?? (Number.isFinite(expected) ? Math.abs(expected * 1e-7) : 1e-7); // std's own default
  const off = Object.is(actual, expected) ? 0 : Math.abs(actual - expected);
  node.ok(off <= limit, msg ?? `Expected ${actual} to be within ${limit} of ${expected}, it is ${off} off`);
}
export function assertMatch(actual: string, expected: RegExp, msg?: string): void {
  node.match(actual, expected, msg!);
}
export function assertStringIncludes(actual: string, expected: string, msg?: string): void {
  node.ok(actual.includes(expected), msg ?? `Expected actual: "${actual}" to contain: "${expected}"`);
}
export function assertInstanceOf<T>(actual: unknown, expected: ErrorClass<T>, msg?: string): asserts actual is T {
  node.ok(actual instanceof expected, msg ?? `Expected an instance of ${expected.name} but got ${String(actual)}`);
}
export function assertThrows<E = Error>(fn: () => unknown, type?: ErrorClass<E>, includes = "", msg?: string): E {
  try {
    fn();
  } catch (error) {
    return checked(error, type, includes, msg);
  }
  return node.fail(msg ?? "Expected function to throw");
}
export async function assertRejects<E = Error>(
  fn: () => PromiseLike<unknown>,
  type?: ErrorClass<E>,
  includes = "",
  msg?: string,
): Promise<E> {
  const promise = fn(); // std, too, lets what is thrown before the promise exists pass as a failure
  const rejected = await promise.then(() => undefined, (error: unknown) => ({ error }));
  return rejected ? checked(rejected.error, type, includes, msg) : node.fail(msg ?? "Expected function to reject");
}
function checked<E>(error: unknown, type: ErrorClass<E> | undefined, includes: string, msg?: string): E {
  if (type) assertInstanceOf(error, type, msg);
  assertStringIncludes(String((error as Error)?.message), includes, msg);
  return error as E;
}
