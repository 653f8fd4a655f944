/** Embeds the texts of a request, whatever family it is of: prompt, limits, queue, disconnects, counts. */
import type { Embedding, EmbedOptions, Truncate } from "@llamasaur/llamasaur";
import { distinct } from "./distinct.ts";
import type { Exchange } from "./exchange.ts";
import type { Choice, InputType } from "./models.ts";
import { namedAs, Problem } from "./problem.ts";

/** What is to be embedded. */
export interface EmbedRequest {
  readonly texts: readonly string[];
  /** The name of a text in the body, for messages. */
  readonly nameOf: (index: number) => string;
  readonly inputType?: InputType | undefined;
  readonly dimensions?: number | undefined;
  readonly normalize?: boolean | undefined;
  /** Whether a long text may be cut; undefined leaves it to the server. */
  readonly truncate?: boolean | undefined;
  /** Which end of a long text is cut off. */
  readonly direction?: "end" | "start" | undefined;
}

/** The vectors, and what is told of them. */
export interface Embedded {
  readonly count: number;
  /** The vector of a text by its index; equal texts have the same one. */
  readonly vectorOf: (index: number) => Float32Array;
  readonly tokens: number;
  readonly headers: Record<string, string>;
}

/** Embeds. */
export async function embed(exchange: Exchange, choice: Choice, request: EmbedRequest): Promise<Embedded> {
  const { model } = choice;
  const { texts } = request;
  exchange.take(model, texts.length);
  return await exchange.use(model, async (llama) => {
    const options = optionsOf(choice, request, exchange.truncate);
    const { unique, placeOf } = distinct(texts);
    const characters = texts.reduce((sum, { length }) => sum + length, 0);
    const ticket = exchange.enter(model, unique, llama.info.maxTokens);
    try {
      const rows: Embedding[] = await exchange.run((signal) =>
        llama.embedDetailed(unique, {
          ...options,
          signal,
          onProgress: (one) => exchange.progressed(model, ticket, one),
        })
      );
      let [tokens, truncated] = [0, 0];
      for (let i = 0; i < texts.length; i++) {
        const row = rows[placeOf(i)]!;
        tokens += row.tokens;
        if (row.truncated) truncated++;
      }
      if (truncated === 0) exchange.learn(model, tokens, characters);
      exchange.counts({ tokens, truncated, characters });
      const headers = { ...exchange.headers(), "x-llamasaur-fingerprint": model.fingerprint(llama, options) };
      return { count: texts.length, vectorOf: (i) => rows[placeOf(i)]!.embedding, tokens, headers };
    } catch (error) {
      throw namedAs(error, (index) => request.nameOf(texts.indexOf(unique[index]!)));
    } finally {
      ticket.leave();
    }
  });
}

/** The options of the call. */
function optionsOf({ model, inputType }: Choice, request: EmbedRequest, standard: Truncate): EmbedOptions {
  const type = inputType ?? request.inputType;
  return {
    ...promptFor(model, type),
    dimensions: request.dimensions ?? model.options.dimensions,
    normalize: request.normalize,
    truncate: truncateOf(request, standard),
  };
}

function promptFor(model: Choice["model"], type: InputType | undefined): Pick<EmbedOptions, "prompt" | "inputType"> {
  if (type === undefined) return {};
  const given = type === "query" ? model.options.queryPrompt : model.options.documentPrompt;
  if (given !== undefined) return { prompt: given };
  if (model.prompts(type)) return { inputType: type };
  throw new Problem(
    "invalid",
    `Cannot put a ${type}'s prompt before the texts: the model's own is not known; start the server with --query-prompt ` +
      "and --document-prompt, which may be empty",
    { field: "input_type" },
  );
}

/** What becomes of long texts: a body's own word goes before the server's. */
export function truncateOf(
  { truncate, direction }: Pick<EmbedRequest, "truncate" | "direction">,
  standard: Truncate,
): Truncate {
  if (truncate === false) return "error";
  if (truncate === undefined && standard === "error") return "error";
  return direction ?? (standard === "error" ? "end" : standard);
}
