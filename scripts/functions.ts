/**
 * Measures functions: how many lines each has, in TypeScript and in C and C++, from its head to its closing brace.
 *
 * It reads no grammar, only brackets: comments, strings and the like are blanked, and the text before a `{` tells whether
 * a function begins there. A function inside another counts to the outer one; classes, namespaces and object literals
 * are no functions, those in them are.
 */

/** A function that is inside no other. */
export interface Measured {
  /** Its head's first line in the file, from 1. */
  readonly line: number;
  /** What stands in that line. */
  readonly head: string;
  /** Lines from its head to its closing brace, both included. */
  readonly lines: number;
}

/** Where a function's head begins, or undefined where the `{` begins something else. */
type HeadOf = (code: string, brace: number, partner: ReadonlyMap<number, number>) => number | undefined;

/**
 * The functions of a file.
 *
 * @param path Its name tells the language.
 * @throws {Error} when its brackets do not match; the message has path and line.
 */
export function functionsOf(path: string, source: string): Measured[] {
  const typescript = path.endsWith(".ts");
  const code = typescript ? blankTypeScript(source) : blankCpp(source);
  const partner = partners(path, code);
  const headOf = typescript ? typescriptHead : cppHead;
  const lineOf = (at: number): number => code.slice(0, at).split("\n").length;
  const found: Measured[] = [];
  for (let at = code.indexOf("{"); at >= 0; at = code.indexOf("{", at + 1)) {
    const start = headOf(code, at, partner);
    if (start === undefined) continue;
    const end = partner.get(at)!;
    const line = lineOf(start);
    found.push({ line, head: source.split("\n")[line - 1]!.trim(), lines: lineOf(end) - line + 1 });
    at = end;
  }
  return found;
}

/** For each bracket its partner's place, both ways. */
function partners(path: string, code: string): Map<number, number> {
  const partner = new Map<number, number>();
  const open: number[] = [];
  for (const { 0: bracket, index } of code.matchAll(/[()[\]{}]/g)) {
    if ("([{".includes(bracket)) {
      open.push(index);
      continue;
    }
    const other = open.pop();
    if (other === undefined || "([{".indexOf(code[other]!) !== ")]}".indexOf(bracket)) {
      throw new Error(
        `Cannot measure ${path}: line ${code.slice(0, index).split("\n").length} has a ${bracket} too many`,
      );
    }
    partner.set(index, other).set(other, index);
  }
  if (open.length === 0) return partner;
  const line = code.slice(0, open.at(-1)).split("\n").length;
  throw new Error(`Cannot measure ${path}: the ${code[open.at(-1)!]} of line ${line} is not closed`);
}

/** Blanks all but line breaks. */
function blank(text: string): string {
  return text.replaceAll(/[^\n]/g, " ");
}

const REGEX = /\/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+\/[a-z]*/y;
// A `/` after one of these begins a regular expression; elsewhere it divides.
const BEFORE_REGEX = /(?:^|\.{3}|[(,=:[!&|?{};+\-*%<>~^]|\b(?:return|typeof|case|in|of|await|yield))\s*$/;

function blankTypeScript(source: string): string {
  const other = /\/\/.*|\/\*[^]*?\*\/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'/y;
  let code = "";
  for (let at = 0; at < source.length;) {
    other.lastIndex = REGEX.lastIndex = at;
    const end = source[at] === "`" ? endOfTemplate(source, at) : undefined;
    const [found] = other.exec(source) ?? [];
    const regex = found === undefined && source[at] === "/" && BEFORE_REGEX.test(code)
      ? REGEX.exec(source)?.[0]
      : undefined;
    const length = end === undefined ? (found ?? regex)?.length ?? 0 : end - at;
    const text = source.slice(at, at + Math.max(1, length));
    // A literal stays a value, so that what divides it is no regular expression.
    const isComment = /^\/[/*]/.test(text);
    code += length === 0 ? text : isComment ? blank(text) : `0${blank(text.slice(1))}`;
    at += text.length;
  }
  return code;
}

/** The place behind a template, with the templates that are inside it. */
function endOfTemplate(source: string, start: number): number {
  let depth = 0; // of braces inside ${}
  for (let at = start + 1; at < source.length; at++) {
    if (source[at] === "\\") at++;
    else if (depth === 0 && source[at] === "`") return at + 1;
    else if (depth === 0 && source.startsWith("${", at)) depth = 1, at++;
    else if (depth > 0 && source[at] === "`") at = endOfTemplate(source, at) - 1;
    else if (depth > 0 && source[at] === "{") depth++;
    else if (depth > 0 && source[at] === "}") depth--;
  }
  return source.length;
}

function blankCpp(source: string): string {
  const directive = /(?<=^|\n)[ \t]*#(?:\\\r?\n|.)*/.source;
  const comment = /\/\/.*|\/\*[^]*?\*\//.source;
  const raw = /R"([^(\s]*)\([^]*?\)\1"/.source;
  const string = /"(?:\\.|[^"\\\n])*"/.source;
  const character = /(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'/.source; // 1'000 is a number
  return source.replaceAll(new RegExp([comment, directive, raw, string, character].join("|"), "g"), blank);
}

/** The place of the last character before one that is not white space; -1 if there is none. */
function before(code: string, at: number): number {
  let place = at - 1;
  while (place >= 0 && /\s/.test(code[place]!)) place--;
  return place;
}

const CONTROL = /\b(if|for|for\s+await|while|switch|catch|with)\s*$/;
const NO_RETURN_TYPE = /^(class|interface|enum|namespace|else|try|do|finally|return|extends|implements|static)$/;

// What stands before the `{` of a type; and, but for "=>" and the words, of an object.
const BEFORE_TYPE = /([:|&<,([=?]|=>|\b(is|extends|keyof))\s*$/;

const typescriptHead: HeadOf = (code, brace, partner) => {
  const last = before(code, brace);
  if (code.slice(0, last + 1).endsWith("=>")) {
    const end = before(code, last - 1);
    return code[end] === ")" ? partner.get(end)! : closeOfTypedParameters(code, last - 1, partner) ?? end;
  }
  if (BEFORE_TYPE.test(code.slice(0, brace))) return undefined;
  const close = code[last] === ")" ? last : closeOfTypedParameters(code, brace, partner);
  if (close === undefined) return undefined;
  const open = partner.get(close)!;
  return CONTROL.test(code.slice(0, open)) ? undefined : open;
};

/** Going back over a type from where it ends: the `)` of the parameters whose result it is, if it is one's. */
function closeOfTypedParameters(code: string, end: number, partner: ReadonlyMap<number, number>): number | undefined {
  for (let at = before(code, end); at >= 0; at = before(code, at)) {
    const character = code[at]!;
    if (character === ":") {
      const close = before(code, at);
      return code[close] === ")" ? close : undefined;
    }
    if (character === "}" && !BEFORE_TYPE.test(code.slice(0, partner.get(at)))) return undefined; // a body
    if (")]}".includes(character)) at = partner.get(at)!;
    else if (/[\w$]/.test(character)) {
      const [name = ""] = /[\w$]+$/.exec(code.slice(0, at + 1)) ?? [];
      if (NO_RETURN_TYPE.test(name)) return undefined;
      at -= name.length - 1;
    } else if (!/[<>|&.,?=]/.test(character)) return undefined;
  }
  return undefined;
}

const cppHead: HeadOf = (code, brace, partner) => {
  let start = brace;
  for (let at = before(code, brace); at >= 0; at = before(code, at)) {
    if (";{".includes(code[at]!)) break;
    if (code[at] === ":" && /(^|[^\w:])(public|private|protected)\s*$/.test(code.slice(0, at))) break;
    if (code[at] === "}" && !/[:,]\s*\w+\s*$/.test(code.slice(0, partner.get(at)))) break; // no member{value}
    if (")]}".includes(code[at]!)) at = partner.get(at)!;
    start = at;
  }
  const head = code.slice(start, brace).replaceAll(/\s+/g, " ").trim();
  const isFunction = /\)( ?(const|noexcept|override|final|mutable|try|&&?|noexcept ?\(.*\)))*$/.test(head) ||
    /\) ?(noexcept ?)?->/.test(head) || /\) ?(noexcept ?)?:(?!:).*[)}]$/.test(head);
  return isFunction && !/(^|[^=!<>])= ?\w*$|^(extern|namespace)\b/.test(head) ? start : undefined;
};
