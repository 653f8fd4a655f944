/** Shows the tokens that a model makes of a text. */
import { loadModel, modelName, type ModelOptions } from "../model.ts";
import { counted } from "../progress.ts";
import { quoted } from "../quote.ts";
import type { Session } from "../session.ts";
import type { Given, Verb } from "../verb.ts";

/** The options of `tokenize`. */
export interface TokenizeOptions extends ModelOptions {
  readonly json?: boolean;
}

/** The verb. */
export const verb: Verb<TokenizeOptions> = {
  arguments: "<text>",
  description:
    "Shows the tokens of a text: ids with the vocabulary's text of each, how many, and what would be cut off.",
  shared: ["model", "json"],
  options: [],
  examples: [
    'tokenize "Embeddings are vectors." --model all-minilm-l6-v2',
    'tokenize "hello world" --model all-minilm-l6-v2 --json',
  ],
  run,
};

async function run({ args: [text = ""], options }: Given<TokenizeOptions>, session: Session): Promise<void> {
  const model = modelName(options);
  await using llama = await loadModel(model, options, session);
  const [ids, around] = [await llama.tokenize(text), await llama.tokenize("")];
  const pieces = await llama.pieces(ids);
  const tokens = Array.from(ids, (id, i) => ({ id, piece: pieces[i]! }));
  const limit = llama.info.maxTokens;
  const [from, to] = cutOf(ids, around, limit);
  if (options.json) {
    await session.json({ model, count: ids.length, limit, cut: tokens.slice(from, to), tokens });
    return;
  }
  const width = Math.max(0, ...tokens.map(({ id }) => `${id}`.length));
  await session.write(tokens.map(({ id, piece }) => `${`${id}`.padStart(width)}  ${quoted(piece)}\n`).join(""));
  session.say(`${counted(ids.length, "token")} of at most ${limit}`);
  if (to > from) session.say(`would be cut off: ${counted(to - from, "token")}, from ${quoted(pieces[from]!)} on`);
}

/**
 * Which tokens `truncate: "end"` cuts off, as from and to: those before the special ones at the end.
 *
 * @param around The special tokens, which are all that an empty text has.
 */
function cutOf(ids: Int32Array, around: Int32Array, limit: number): [from: number, to: number] {
  let closing = 0;
  while (closing < around.length && ids.at(-1 - closing) === around.at(-1 - closing)) closing++;
  const excess = Math.max(0, ids.length - limit);
  return [ids.length - closing - excess, ids.length - closing];
}
