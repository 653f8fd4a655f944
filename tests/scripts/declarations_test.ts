import { test } from "node:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { assert, assertEquals } from "@std/assert";
import { changes, declarations, usedNames } from "../../scripts/declarations.ts";
import { pinTree, pinVersion, versionOf } from "../../scripts/move_pin.ts";
import { ROOT } from "../support/child.ts";

const HEADER = `
#pragma once
#define GGML_MAX_N_THREADS 512 // threads
#define GGML_TWO(a) \\
    (a)
#ifdef __cplusplus
extern "C" {
#endif
    struct llama_model; // opaque
    typedef int32_t llama_pos;
    typedef bool (*llama_progress)(float progress, void * user_data);
    /* kinds;
       of pooling */
    enum llama_pooling {
        LLAMA_POOLING_UNSPECIFIED = -1,
        LLAMA_POOLING_NONE, // none
        LLAMA_POOLING_MEAN = 0x10,
        LLAMA_POOLING_CLS,
        LLAMA_POOLING_SAME = LLAMA_POOLING_CLS,
    };
    struct llama_params {
        int32_t n_ctx; // tokens
        bool    (*abort)(void * data);
    };
    typedef struct { int x; } llama_anonymous;
    LLAMA_API struct llama_params llama_default_params(void);
    DEPRECATED(LLAMA_API struct llama_model * llama_old(const char * path,
            int n), "use llama_new; instead");
    static inline int llama_inline(int a) { if (a) { return 1; } return 2; }
    LLAMA_API enum llama_pooling llama_pooling(void);
    LLAMA_API void llama_free(struct llama_model * model);
#ifdef __cplusplus
}
#endif
LLAMA_API int llama_last(void);
`;

test("declarations() finds functions, structs, enums, their values and macros", () => {
  const found = declarations(HEADER);
  assertEquals(found.get("llama_free"), "LLAMA_API void llama_free(struct llama_model * model);");
  assertEquals(found.get("llama_params"), "struct llama_params { int32_t n_ctx; bool (*abort)(void * data); };");
  const values = ["UNSPECIFIED", "NONE", "MEAN", "CLS", "SAME"].map((name) => found.get(`LLAMA_POOLING_${name}`));
  assertEquals(values, ["-1", "0", "16", "17", "17"]);
  assertEquals(found.get("GGML_MAX_N_THREADS"), "512");
  const others = [
    "llama_pos",
    "llama_progress",
    "llama_pooling",
    "llama_anonymous",
    "llama_default_params",
    "llama_old",
  ];
  for (const name of [...others, "llama_inline", "llama_last", "GGML_TWO"]) assert(found.has(name), name);
});

test("changes() are the used names alone, however they changed", () => {
  const used = new Set(["llama_params", "LLAMA_POOLING_CLS", "llama_old", "llama_free", "llama_unknown"]);
  const change = (...[from, to]: [string, string]) =>
    changes(declarations(HEADER), declarations(HEADER.replace(from, to)), used);
  assertEquals(change("// tokens", "// in tokens"), []);
  assertEquals(change("int32_t n_ctx;", "int32_t   n_ctx;"), []);
  assertEquals(change("LLAMA_API int llama_last(void);", ""), []); // nobody uses it
  assertEquals(change("LLAMA_POOLING_MEAN = 0x10,", "LLAMA_POOLING_NEW,\n LLAMA_POOLING_MEAN = 0x10,"), []);
  assertEquals(change("= 0x10", "= 3"), [{ name: "LLAMA_POOLING_CLS", before: "17", after: "4" }]);
  const enumOnly = changes(
    declarations(HEADER),
    declarations(HEADER.replace("LLAMA_POOLING_NONE,", "LLAMA_POOLING_NEW,")),
    new Set(["llama_pooling"]),
  );
  assertEquals(enumOnly.length, 1); // though a function has its name, too
  assertEquals(change("int32_t n_ctx;", "int32_t n_ctx; int32_t n_seq;").map(({ name }) => name), ["llama_params"]);
  assertEquals(change("llama_free(", "llama_release(").map(({ name, after }) => [name, after]), [
    ["llama_free", undefined],
  ]);
});

test("usedNames() are llama.cpp's in the code, not in comments and texts", () => {
  const code = 'int saur_x() { return llama_free(GGML_TYPE_F32); } // llama_a\n/* llama_b */ f("llama_c \\" llama_d");';
  assertEquals([...usedNames([code])], ["GGML_TYPE_F32", "llama_free"]);
});

test("usedNames() of the shim have what every embedder calls", () => {
  const folder = join(ROOT, "ffi", "cpp");
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => /\.(cpp|c|h)$/.test(name));
  const used = usedNames(files.map((name) => readFileSync(join(folder, name), "utf8")));
  for (const name of ["llama_encode", "llama_context_params", "LLAMA_POOLING_TYPE_RANK"]) assert(used.has(name), name);
});

test("pinVersion() and pinTree() change the two files at their one place", () => {
  const [version, pin] = ["ffi/version.ts", "build/pin.ts"].map((path) => readFileSync(join(ROOT, path), "utf8"));
  const tree = "0123456789abcdef0123456789abcdef01234567";
  assertEquals(pinVersion(pinVersion(version!, "1.2.3"), /"([^"]+)"/.exec(version!)![1]!), version);
  assert(pinVersion(version!, "1.2.3").includes('LLAMA_VERSION: string = "1.2.3";'));
  assertEquals(pinTree(pinTree(pin!, tree), /TREE: string = "(\w+)"/.exec(pin!)![1]!), pin);
  assert(pinTree(pin!, tree).includes(`TREE: string = "${tree}";`));
});

test("versionOf() reads llama.cpp's CMakeLists.txt", () => {
  const set = (name: string, value: number) => `set(LLAMA_VERSION_${name} ${value})\n`;
  assertEquals(versionOf(set("MAJOR", 0) + set("MINOR", 12) + set("PATCH", 3)), "0.12.3");
});
