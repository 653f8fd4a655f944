// Streams: any source, any end of it, any way to leave: all vectors before the end come, in order, and the end comes soon.
import { libraryMissing } from "../support/references.ts";
import type { Case } from "./case.ts";
import { runWorker } from "./worker.ts";

export const cases: readonly Case[] = [{
  name: "streams: any source, any end, any way to leave",
  planned: { ci: 20, full: 2000 },
  repeats: true,
  skip: libraryMissing ? "no native library was built" : undefined,
  run: ({ platform, seed, planned, directory }) =>
    runWorker({ platform }, "streams_worker.ts", [seed, planned, directory]),
}];
