// Tokenizers: random vocabularies, each refused at load or one with which every text is tokenised in two seconds.
// A failure names the vocabulary: `deno run -A tests/torture/write_file.ts` writes its model out.
import type { Case } from "./case.ts";
import { run } from "./files.ts";

export const cases: readonly Case[] = [
  {
    name: "tokenizers: random vocabularies, 2 s a text",
    planned: { ci: 200, full: 10_000 },
    repeats: true,
    run: (context) => run(context, ["vocabulary", `${context.seed * 1_000_000}`]),
  },
];
