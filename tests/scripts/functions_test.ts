import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { functionsOf } from "../../scripts/functions.ts";

/** The functions of a file: first line, lines, and the name before the first bracket of their heads. */
function measured(path: string, source: string): [line: number, lines: number, name: string][] {
  return functionsOf(path, source).map(({ line, lines, head }) => [line, lines, head]);
}

test("functionsOf() finds TypeScript's functions and methods, and counts what is inside to the outermost", () => {
  const source = `import { x } from "./x.ts";
export async function* typed<T extends { a: number }>(
  one: { readonly b: T },
): AsyncGenerator<Map<string, T>, void, undefined> {
  const inner = () => {
    return one;
  };
}
export class Store extends Base<string> implements Other {
  static #count = 0;
  readonly table = { a: 1, b: { c: 2 } };
  static {
    start();
  }
  constructor(private x: number) {
    super();
  }
  get size(): number {
    return 1;
  }
  *[Symbol.iterator](): Iterator<[string, { x: number }]> {
    yield* this;
  }
  is(value: unknown): value is { a: number } | undefined {
    return true;
  }
}
function told(): { readonly a: number; b: [string] } {
  return { a: 1, b: ["c"] };
}
interface Shape {
  method(): void;
}
`;
  assertEquals(measured("a.ts", source), [
    [2, 7, "export async function* typed<T extends { a: number }>("],
    [15, 3, "constructor(private x: number) {"],
    [18, 3, "get size(): number {"],
    [21, 3, "*[Symbol.iterator](): Iterator<[string, { x: number }]> {"],
    [24, 3, "is(value: unknown): value is { a: number } | undefined {"],
    [28, 3, "function told(): { readonly a: number; b: [string] } {"],
  ]);
});

test("functionsOf() finds TypeScript's arrow functions, and those in objects and calls", () => {
  const source = `type Made = { a: number };
const arrow = async (a: number): Promise<void> => {
  await a;
};
const single = one => {
  return one;
};
const CALLS = {
  async embed(text: string) {
    return text;
  },
  label: (x: number) => {
    return x;
  },
  list: [1, 2].map(function (x) {
    return x;
  }),
};
describe("a group", () => {
  test("one", { skip }, async () => {
  });
});
if (import.meta.main) {
  main();
}
`;
  assertEquals(measured("a.ts", source), [
    [2, 3, "const arrow = async (a: number): Promise<void> => {"],
    [5, 3, "const single = one => {"],
    [9, 3, "async embed(text: string) {"],
    [12, 3, "label: (x: number) => {"],
    [15, 3, "list: [1, 2].map(function (x) {"],
    [19, 4, 'describe("a group", () => {'],
  ]);
});

test("functionsOf() is not misled by brackets in strings, templates, comments and regular expressions", () => {
  const source = `// function a() {
/* { ( */
const text = "{ \\" (" + '}' + \`{ \${ (() => { return \`}\${1}\`; })() } (\`;
const half = 4 / 2 / 1, both = [.../[}{()/]/g[Symbol.match]("}")], after = (1) / 2;
function test(x: string) {
  return /\\/\\{/.test(x) ? /[/{]/ : x.replace(/}/, "{");
}
`;
  assertEquals(measured("a.ts", source), [[5, 3, "function test(x: string) {"]]);
});

test("functionsOf() finds functions of C++ in namespaces and classes, and no initializer", () => {
  const source = `#include <a.h>
#define LOOP(x) do { x } while (0)
#define TWO {  \\\\
    {
extern "C" {
int32_t saur_one(saur_lane * lane,
                 int32_t x) {
    if (x) { return 1'000; }
    return '{' + *"}";
}
}
namespace {
const char * const NAMES[] = { "a", "b" };
constexpr int one{1};
struct alignas(64) Slot : Base<int> {
    int a = 0;
    std::vector<int> b{ 1, 2 };
    Slot(int x) noexcept : a(x), b{ x } {
        run();
    }
    ~Slot() { stop(); }
    bool operator()(int x) const noexcept { return x > a; }
  private:
    auto get() -> int {
        return a;
    }
};
template <int R, class F>
inline void apply(F f) {
    auto g = [&](int x) { return x; };
}
}  // namespace
enum Kind : int { ONE, TWO };
// after a namespace without a semicolon
std::vector<float> make(const char * raw = R"x({)")x") try {
    return {};
} catch (const std::exception & e) {
    return { 1 };
}
__attribute__((constructor(101))) static void early(void) {
}
auto lambda = [](int x) {
    return x;
};
`;
  assertEquals(measured("a.cpp", source), [
    [6, 5, "int32_t saur_one(saur_lane * lane,"],
    [18, 3, "Slot(int x) noexcept : a(x), b{ x } {"],
    [21, 1, "~Slot() { stop(); }"],
    [22, 1, "bool operator()(int x) const noexcept { return x > a; }"],
    [24, 3, "auto get() -> int {"],
    [28, 4, "template <int R, class F>"],
    [35, 3, 'std::vector<float> make(const char * raw = R"x({)")x") try {'],
    [37, 3, "} catch (const std::exception & e) {"],
    [40, 2, "__attribute__((constructor(101))) static void early(void) {"],
    [42, 3, "auto lambda = [](int x) {"],
  ]);
});

test("functionsOf() says where brackets do not match", () => {
  assertThrows(
    () => functionsOf("a.ts", "const a = [\n  (1,\n];\n"),
    Error,
    "Cannot measure a.ts: line 3 has a ] too many",
  );
  assertThrows(
    () => functionsOf("a.ts", "\nfunction a() {\n"),
    Error,
    "Cannot measure a.ts: the { of line 2 is not closed",
  );
  const branches = "#if A\nvoid f(int a) {\n#else\nvoid f() {\n#endif\n}\n";
  assertThrows(() => functionsOf("a.cpp", branches), Error, "Cannot measure a.cpp: the { of line 2 is not closed");
});
