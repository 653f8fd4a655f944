// Company: a text, or a pair, gets the same numbers alone and in a list, whatever the shapes of both.
import { libraryMissing } from "../support/references.ts";
import type { Case } from "./case.ts";
import { runWorker } from "./worker.ts";

export const cases: readonly Case[] = [{
  name: "company: a text alone and in a pack, every model, type and pooling",
  planned: { ci: 0, full: 1500 },
  repeats: true,
  skip: libraryMissing ? "no native library was built" : undefined,
  run: (context) => runWorker(context, "company_worker.ts", [context.seed, context.planned, context.directory]),
}];
