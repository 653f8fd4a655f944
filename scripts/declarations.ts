// Reads C headers as far as moving a pin needs it: each function, struct, enum, value and macro by its name, as one
// line that changes when what it means to a caller does. Not a parser of C: of headers as llama.cpp writes them.

/** A header's declarations by name. An enum's values are entries of their own, as numbers where they are. */
export type Declarations = ReadonlyMap<string, string>;

/** What became of a declaration. */
export interface Change {
  readonly name: string;
  readonly before: string;
  /** Undefined when it is gone. */
  readonly after: string | undefined;
}

const OF_LLAMA = /\b(?:llama|ggml|gguf|LLAMA|GGML|GGUF)_\w+/g;

/** The names of llama.cpp in C or C++ sources, without what comments and texts say. */
export function usedNames(sources: readonly string[]): Set<string> {
  const code = sources.map((source) => withoutComments(source).replaceAll(/"(?:[^"\\\n]|\\.)*"/g, '""'));
  return new Set(code.flatMap((text) => text.match(OF_LLAMA) ?? []).sort());
}

/** The declarations of a header, or of several one behind the other. What shares a name (an enum and a function) is joined. */
export function declarations(header: string): Declarations {
  const found = new Map<string, string>();
  const directives = /^[ \t]*#(?:[^\n]*\\\n)*[^\n]*$/gm;
  const code = withoutComments(header);
  for (const [directive] of code.matchAll(directives)) {
    const [, name, value] = /^\s*#\s*define\s+(\w+)(.*)$/s.exec(directive) ?? [];
    if (name && value?.trim()) found.set(name, oneLine(value));
  }
  for (const statement of statements(code.replaceAll(directives, "").replaceAll(/extern\s+"C"\s*\{/g, ""))) {
    const name = nameOf(statement);
    if (name) found.set(name, found.has(name) ? `${found.get(name)} ${statement}` : statement);
    for (const [value, number] of enumValues(statement)) found.set(value, number);
  }
  return found;
}

/** Of the used names those whose declaration is another in `after`, or gone from it. */
export function changes(before: Declarations, after: Declarations, used: ReadonlySet<string>): Change[] {
  return [...used].flatMap((name) => {
    const [old, now] = [before.get(name), after.get(name)];
    return old === undefined || old === now ? [] : [{ name, before: old, after: now }];
  });
}

function withoutComments(code: string): string {
  return code.replaceAll(/\/\*.*?\*\//gs, " ").replaceAll(/\/\/[^\n]*/g, "");
}

function oneLine(code: string): string {
  return code.replaceAll(/\s+/g, " ").trim();
}

/** What ends in a semicolon outside of braces, or in the closing brace of a function's body. */
function statements(code: string): string[] {
  const found: string[] = [];
  let depth = 0;
  let start = 0;
  for (let i = 0; i < code.length; i++) {
    const char = code[i]!;
    if (char === "{") depth++;
    if (char === "}") depth--;
    const body = char === "}" && depth === 0 && /\)\s*\{/.test(code.slice(start, i).replace(/\{.*/s, "{"));
    if (depth < 0) depth = 0; // the brace that closes extern "C"
    else if (depth > 0 || char !== ";" && !body) continue;
    else found.push(oneLine(code.slice(start, i + 1)));
    start = i + 1;
  }
  return found.filter((text) => text.length > 1);
}

function nameOf(statement: string): string | undefined {
  const plain = statement.replace(/^(?:GGML_)?DEPRECATED\(/, "").replaceAll(/__attribute__\s*\(\([^)]*\)\)/g, "");
  const named = /^(?:typedef )?(?:struct|enum|union) (\w+) \{/.exec(plain) ?? // struct a { … };
    /^typedef [^{]*?\(\s*\*\s*(\w+)\s*\)/.exec(plain) ?? // typedef int (*a)(int);
    /^typedef .*?(\w+);$/.exec(plain) ?? // typedef struct { … } a; typedef int a;
    /^[^({]*?(\w+)\s*\(/.exec(plain); // int a(int);
  return named?.[1];
}

/** Each value of an enum with its number, counted on where none is given; else what is written. */
function enumValues(statement: string): [name: string, number: string][] {
  const body = /^(?:typedef )?enum[^{]*\{(.*)\}/.exec(statement)?.[1];
  const known = new Map<string, string>();
  let last = "-1";
  for (const item of body?.split(",") ?? []) {
    const [, name, given] = /^\s*(\w+)\s*(?:=\s*(.*?))?\s*$/.exec(item) ?? [];
    if (!name) continue;
    last = given === undefined ? next(last) : known.get(given) ?? (Number.isNaN(Number(given)) ? given : `${+given}`);
    known.set(name, last);
  }
  return [...known];
}

function next(number: string): string {
  return Number.isNaN(Number(number)) ? `${number} + 1` : String(Number(number) + 1);
}
