/** Says in words what is wrong with a value of a body or a file. zod's own are a programmer's: "expected array, received string". */
import type { z } from "zod";
import { quoted } from "../quote.ts";

const TYPES: Readonly<Record<string, string>> = {
  string: "a string",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "an array",
  object: "an object",
  record: "an object",
};

/** The words of what zod found; undefined where a schema has words of its own. A text is never in them: it may be anybody's. */
export function wordsOf(issue: z.core.$ZodRawIssue): string | undefined {
  const { input } = issue;
  switch (issue.code) {
    case "invalid_type": {
      const wanted = `it must be ${TYPES[issue.expected] ?? `of the type ${issue.expected}`}`;
      return input === undefined ? `it is missing: ${wanted}` : `${wanted}, is ${kindOf(input)}`;
    }
    case "too_small":
      return typeof input === "number" ? `it must be at least ${issue.minimum}, is ${input}` : "it is empty";
    case "too_big":
      return `it must be at most ${issue.maximum}`;
    case "invalid_value":
      return `it must be one of ${issue.values.map((one) => JSON.stringify(one)).join(", ")}`;
    case "unrecognized_keys":
      return `there is no ${issue.keys.map((key) => quoted(key)).join(", ")}`;
    default:
      return undefined;
  }
}

/** What kind of value it is; of a number itself. */
export function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  return typeof value === "number" || typeof value === "boolean" ? String(value) : TYPES[typeof value] ?? typeof value;
}
