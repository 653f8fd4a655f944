/** Shows values that come from outside: bounded, on one line, without what would move a terminal's cursor. */
import process from "node:process";

const LONGEST = 200;

/** A value in double quotes, as JSON writes it. */
export function quoted(value: string, longest: number = LONGEST): string {
  const cut = value.length > longest ? `${value.slice(0, longest)}…` : value;
  return JSON.stringify(cut).replaceAll(/[\x7f-\x9f\u2028\u2029]/g, escaped);
}

/** A path or name as it is, but for what cannot be printed. */
export function shown(value: string): string {
  return /^[\x21-\x7e]+$/.test(value) && value.length <= 4 * LONGEST ? value : quoted(value, 4 * LONGEST);
}

/** A word of a command as a POSIX shell reads it; on Windows as PowerShell does, and cmd where that is one way. */
export function shellWord(word: string, platform: string = process.platform): string {
  if (platform !== "win32") return /^[\w./:=@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
  if (/^[\w./\\:=+-]+$/.test(word)) return word;
  return /^[^"`$%]+$/.test(word) ? `"${word}"` : `'${word.replaceAll("'", "''")}'`;
}

function escaped(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
