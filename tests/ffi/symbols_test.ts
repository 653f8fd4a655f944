import { test } from "node:test";
import { readFileSync } from "node:fs";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { STATUS, statusError } from "../../ffi/errors.ts";
import { abi, type NativeType, POOLING, type Signature, SYMBOLS } from "../../ffi/symbols.ts";

const TABLE: Record<string, Signature> = SYMBOLS;

function source(name: string): string {
  return readFileSync(new URL(`../../ffi/cpp/shim/${name}`, import.meta.url), "utf8");
}

const HEADER = source("shim.h");
const HANDLES = [...HEADER.matchAll(/^struct (saur_\w+);/gm)].map(([, name]) => name!);

/** The table's word for a C type, or for a whole parameter with its name. */
function nativeType(c: string): NativeType {
  const type = c.trim().replace(/^const /, "");
  if (type.includes("(*")) return "ptr";
  if (type.includes("*")) {
    const pointee = type.slice(0, type.indexOf("*")).trim();
    if (HANDLES.includes(pointee)) return "ptr";
    if (["char", "int32_t", "float", "double"].includes(pointee)) return "buf";
  } else {
    const word = type.split(" ")[0];
    if (word === "int32_t") return "i32";
    if (word === "double") return "f64" as NativeType;
    if (word === "void") return "void";
  }
  throw new Error(`shim.h has the type "${c}", which the table has no word for`);
}

/** Splits a parameter list at the commas that are not inside the parentheses of a function pointer. */
function parameters(list: string): string[] {
  if (list.trim() === "void") return [];
  return list.split(/,(?![^(]*\))/);
}

interface Prototype {
  readonly name: string;
  readonly args: NativeType[];
  readonly returns: NativeType;
  readonly comment: string;
}

function prototypes(): Prototype[] {
  const lines = HEADER.matchAll(/^SAUR_API\s+(.+?)\s*(saur_\w+)\((.*)\);(.*)$/gm);
  return Array.from(lines, ([, returns, name, list, comment]) => ({
    name: name!,
    args: parameters(list!).map(nativeType),
    returns: nativeType(returns!),
    comment: comment!,
  }));
}

test("shim.h has one prototype a line, and nothing else is exported", () => {
  assertEquals(prototypes().length, [...HEADER.matchAll(/^SAUR_API /gm)].length);
  assert(prototypes().length > 20, `only ${prototypes().length} prototypes were understood`);
});

test("SYMBOLS lists the functions of shim.h in its order", () => {
  assertEquals(Object.keys(TABLE), prototypes().map(({ name }) => name));
});

test("SYMBOLS has the arguments and results of every prototype in shim.h", () => {
  for (const { name, args, returns } of prototypes()) {
    assertEquals({ name, args: TABLE[name]!.args, returns: TABLE[name]!.returns }, { name, args, returns });
  }
});

test("SYMBOLS calls off the JavaScript thread exactly what shim.h says blocks", () => {
  const blocks = prototypes().filter(({ comment }) => /\bblocks\b/.test(comment)).map(({ name }) => name);
  assertEquals(Object.keys(TABLE).filter((name) => TABLE[name]!.blocking), blocks);
});

test("shim.h marks as job only functions that take a lane and give a status", () => {
  const jobs = prototypes().filter(({ comment }) => /\/\/ job\b/.test(comment));
  assert(jobs.length > 0);
  for (const { name, args, returns } of jobs) assertEquals([name, args[0], returns], [name, "ptr", "i32"]);
});

test("STATUS has the names and numbers of saur_status", () => {
  const body = /enum saur_status[^{]*\{([^}]*)\}/.exec(HEADER)![1]!;
  const entries = [...body.matchAll(/SAUR_(\w+)\s*=\s*(-?\d+)/g)].map(([, name, value]) => [name!, Number(value)]);
  assert(entries.length > 10, `only ${entries.length} statuses were understood`);
  assertEquals(STATUS, Object.fromEntries(entries));
  assertEquals(new Set(Object.values(STATUS)).size, entries.length);
});

test("statusError() has words for every status, with the action and the lines", () => {
  for (const [name, status] of Object.entries(STATUS)) {
    if (status === STATUS.OK) continue;
    const { message, code } = statusError(status, "do it", " one \n\n two \n");
    assertMatch(message, /^Cannot do it: (?!unknown status).+: one \| two$/, name);
    assertEquals(code, status === STATUS.OUT_OF_MEMORY ? "out-of-memory" : "context-lost");
  }
  assertEquals(statusError(-999, "do it", "").message, "Cannot do it: unknown status -999");
});

test("POOLING has the names of pooling.h at its numbers", () => {
  const body = /enum Pooling[^{]*\{([^}]*)\}/.exec(source("pooling.h"))![1]!;
  const names = [...body.matchAll(/POOLING_(\w+)\s*=\s*(-?\d+)/g)];
  const known = names.filter(([, , value]) => Number(value) >= 0);
  assertEquals(Object.fromEntries(POOLING.map((name, i) => [name, i])), {
    ...Object.fromEntries(known.map(([, name, value]) => [name!.toLowerCase(), Number(value)])),
  });
  assertEquals(names.filter(([, , value]) => Number(value) < 0).map(([, name]) => name), ["UNKNOWN", "UNSPECIFIED"]);
});

test("abi() is a 31-bit integer that changes with a name, an argument, a result and the pooling names", () => {
  const before = abi();
  assert(Number.isInteger(before) && before > 0 && before < 2 ** 31, `is ${before}`);
  const table = SYMBOLS as unknown as Record<string, { args: NativeType[]; returns: NativeType }>;
  const [name, entry] = Object.entries(table)[1]!;
  const poolings = POOLING as unknown as string[];
  const changes: [string, () => void, () => void][] = [
    ["a new function", () => table.saur_new = { args: [], returns: "i32" }, () => delete table.saur_new],
    ["an argument more", () => entry.args.push("i32"), () => entry.args.pop()],
    ["another result", () => entry.returns = "void", () => entry.returns = "i32"],
    ["another pooling", () => poolings.push("max"), () => poolings.pop()],
  ];
  const seen = new Set([before]);
  for (const [what, change, undo] of changes) {
    change();
    try {
      assert(!seen.has(abi()), `${what} (of ${name}) does not change the number`);
      seen.add(abi());
    } finally {
      undo();
    }
    assertEquals(abi(), before, `${what} was not undone`);
  }
});
