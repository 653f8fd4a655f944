/** Writes the shell's lines that set a variable of the environment or take it away; PowerShell's on Windows. */
import process from "node:process";
import { shellWord } from "../quote.ts";

const WINDOWS = process.platform === "win32";

/** The line that sets a variable. */
export function setting(variable: string, value: string): string {
  return WINDOWS ? `$env:${variable} = '${value.replaceAll("'", "''")}'` : `export ${variable}=${shellWord(value)}`;
}

/** The line that takes a variable away. */
export function unsetting(variable: string): string {
  return WINDOWS ? `Remove-Item env:${variable}` : `unset ${variable}`;
}
