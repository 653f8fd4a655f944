// Runs code blocks one after another: blocks_test.ts starts it with a JSON file of their paths, in a folder that has models/.
import { readFileSync } from "node:fs";
import process from "node:process";
import { pathToFileURL } from "node:url";

/** What became of a block. */
export interface Run {
  /** What it printed, one line a call of console.log. */
  readonly printed: readonly string[];
  /** Why it failed, if it did. */
  readonly error?: string;
}

/** What console.log prints on Deno, for strings, numbers, booleans and lists of these. */
function shown(value: unknown, inside = false): string {
  if (Array.isArray(value)) return `[ ${value.map((one) => shown(one, true)).join(", ")} ]`;
  return inside && typeof value === "string" ? JSON.stringify(value) : String(value);
}

async function run(path: string): Promise<Run> {
  const printed: string[] = [];
  try {
    const { block } = await import(pathToFileURL(path).href);
    await block({ log: (...values: unknown[]) => printed.push(values.map((value) => shown(value)).join(" ")) });
    return { printed };
  } catch (error) {
    return { printed, error: (error as Error).stack ?? String(error) };
  }
}

for (const path of JSON.parse(readFileSync(process.argv[2]!, "utf8"))) console.log(JSON.stringify(await run(path)));
