// Exactness: a model's file with keys and tensors that change its results taken out, spoilt or put into other parts is refused, or is
// not `exact`, or gives what the file gave before. A failure prints what was done to which fixture.
import { libraryMissing } from "../support/references.ts";
import type { Case } from "./case.ts";
import { runWorker } from "./worker.ts";

export const cases: readonly Case[] = [{
  name: "exactness: files without what changes a result",
  planned: { ci: 60, full: 5000 },
  repeats: true,
  skip: libraryMissing ? "no native library was built" : undefined,
  run: (context) => runWorker(context, "exactness_worker.ts", [context.seed, context.planned, context.directory]),
}];
