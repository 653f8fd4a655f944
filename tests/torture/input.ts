// Input: any value for any argument, any text, very many and very long ones.
import { join } from "node:path";
import { libraryMissing } from "../support/references.ts";
import type { Case } from "./case.ts";
import { runWorker } from "./worker.ts";

const skip = libraryMissing ? "no native library was built" : undefined;

function input(name: string, worker: string, ci: number, full: number, repeats: boolean): Case {
  return {
    name: `input: ${name}`,
    planned: { ci, full },
    repeats,
    skip,
    run: (context) =>
      runWorker(context, "input_worker.ts", [worker, context.seed, context.planned, join(context.directory, "files")]),
  };
}

export const cases: readonly Case[] = [
  input("any value for any argument of any function", "values", 600, 20_000, true),
  input("any texts, well-formed or not", "texts", 100, 3_000, true),
  input("the tokens of any text are those of Hugging Face's WordPiece", "tokens", 2_000, 100_000, true),
  input("100,000 documents in one call", "many", 0, 1, false),
  input("a text of 10 MB", "long", 0, 8, false),
];
