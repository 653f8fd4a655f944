// Looks whether what `--json` prints is what docs/command-line.schema.json says.
import { assert, assertEquals } from "@std/assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fromJSONSchema } from "zod";
import { ROOT } from "./child.ts";

/** The schemas by what prints them: a verb, and the words that change its output. */
export const SCHEMAS: Readonly<Record<string, Parameters<typeof fromJSONSchema>[0]>> = JSON.parse(
  readFileSync(join(ROOT, "docs", "command-line.schema.json"), "utf8"),
).$defs;

/** Fails unless each line is what the schema says. */
export function assertSchema(name: string, stdout: string): void {
  const lines = stdout.trimEnd().split("\n");
  assert(lines.length > 0 && lines[0] !== "", name);
  for (const line of lines) {
    const { error } = fromJSONSchema(SCHEMAS[name]!).safeParse(JSON.parse(line));
    assertEquals(error?.message, undefined, `${name}: ${line.slice(0, 500)}`);
  }
}
