import { test } from "node:test";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { STATUS, statusError } from "../../ffi/errors.ts";
import { open } from "../../ffi/mod.ts";
import {
  abi,
  byName,
  inOrder,
  type ListName,
  NAMES,
  type NativeType,
  type Signature,
  SYMBOLS,
} from "../../ffi/symbols.ts";
import { inDirectory } from "../support/checkpoint.ts";
import { libraryMissing } from "../support/references.ts";

const TABLE: Record<string, Signature> = SYMBOLS;

const HEADER = readFileSync(new URL("../../ffi/cpp/shim/shim.h", import.meta.url), "utf8");
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

test("STATUS has no number twice", () => {
  assertEquals(new Set(Object.values(STATUS)).size, Object.keys(STATUS).length);
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

test("inOrder() and byName() follow a list", () => {
  const names = ["b", "a"] as const;
  assertEquals(inOrder(names, { a: 1, b: 2 }), [2, 1]);
  assertEquals(byName(names, Float64Array.of(2, 1)), { b: 2, a: 1 });
});

test("abi() is a 31-bit integer that changes with a name, an argument, a result and each list of names", () => {
  const before = abi();
  assert(Number.isInteger(before) && before > 0 && before < 2 ** 31, `is ${before}`);
  const table = SYMBOLS as unknown as Record<string, { args: NativeType[]; returns: NativeType }>;
  const [name, entry] = Object.entries(table)[1]!;
  const changes: [string, () => void, () => void][] = [
    ["a new function", () => table.saur_new = { args: [], returns: "i32" }, () => delete table.saur_new],
    ["an argument more", () => entry.args.push("i32"), () => entry.args.pop()],
    ["another result", () => entry.returns = "void", () => entry.returns = "i32"],
  ];
  for (const [list, names] of Object.entries(NAMES)) {
    if (Array.isArray(names)) changes.push([list, () => names.push("new"), () => names.pop()]);
    else {
      const numbers = names as Record<string, number>;
      changes.push([list, () => numbers.new = 99, () => delete numbers.new]);
    }
  }
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

/** Two names of each list, as ffi/symbols.ts has them and the other way around. */
const SWAPS: Readonly<Record<ListName, readonly [from: RegExp, to: string]>> = {
  MODEL_OPTIONS: [/("addBos")(.*\n.*)("addEos")/, "$3$2$1"],
  CONTEXT_OPTIONS: [/("tokens")(, )("sequences")/, "$3$2$1"],
  CONTEXT_MEMORY: [/("compute")(, )("row")/, "$3$2$1"],
  MODEL_INFO: [/("hasEncoder")(,\s+)("hasDecoder")/, "$3$2$1"],
  POOLING: [/(mean)(: 1, )(cls)/, "$3$2$1"],
  CAUSAL_BY: [/(file)(: 1, )(option)/, "$3$2$1"],
  SPECIAL: [/(none)(: 0, )(add)/, "$3$2$1"],
  LOG_LEVEL: [/(info)(: 1, )(warn)/, "$3$2$1"],
  STATUS: [/(BUSY)(: -1[^]*)(NO_CONTEXT)/, "$3$2$1"],
};

test("open() refuses the library when two names of a list are swapped", { skip: libraryMissing }, async () => {
  const { path } = await open();
  const ffi = fileURLToPath(new URL("../../ffi", import.meta.url));
  /** Opens the library by a copy of ffi/ with another table. */
  const openWith = async (change: (table: string) => string): Promise<unknown> => {
    let result: unknown;
    await inDirectory(async (directory) => {
      const copy = join(directory, "ffi");
      cpSync(ffi, copy, { recursive: true, filter: (from) => !from.endsWith("cpp") });
      writeFileSync(join(copy, "symbols.ts"), change(readFileSync(join(copy, "symbols.ts"), "utf8")));
      const module: typeof import("../../ffi/open.ts") = await import(pathToFileURL(join(copy, "open.ts")).href);
      result = await module.open(path).then(() => "opened", (error) => error.code);
    });
    return result;
  };
  assertEquals(await openWith((table) => table), "opened");
  for (const [list, [from, to]] of Object.entries(SWAPS)) {
    const result = await openWith((table) => {
      const swapped = table.replace(from, to);
      assert(swapped !== table, `no two names of ${list} were swapped`);
      return swapped;
    });
    assertEquals(result, "version-mismatch", list);
  }
});
