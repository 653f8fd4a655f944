/** Ranks the documents of a request, whatever family it is of. */
import type { Ranked, Truncate } from "@llamasaur/llamasaur";
import { distinct } from "./distinct.ts";
import type { Exchange } from "./exchange.ts";
import type { Choice } from "./models.ts";
import { namedAs } from "./problem.ts";

/** What is to be ranked. */
export interface RankRequest {
  readonly query: string;
  readonly documents: readonly string[];
  /** The name of a document in the body, for messages. */
  readonly nameOf: (index: number) => string;
  readonly instruction?: string | undefined;
  readonly truncate: Truncate;
}

/** The ranking, and what is told of it. */
export interface Ranking {
  /** All documents, best first. */
  readonly ranked: readonly Ranked<string>[];
  readonly tokens: number;
  readonly headers: Record<string, string>;
}

/** Ranks. */
export async function rank(exchange: Exchange, choice: Choice, request: RankRequest): Promise<Ranking> {
  const { model } = choice;
  const { query, documents, instruction, truncate } = request;
  exchange.take(model, documents.length);
  return await exchange.use(model, async (llama) => {
    const { unique } = distinct(documents); // the library computes equal ones once, too
    const characters = documents.reduce((sum, { length }) => sum + length + query.length, 0);
    const ticket = exchange.enter(model, unique, llama.info.maxTokens, query.length);
    try {
      const ranked = await exchange.run((signal) =>
        llama.rerank(query, documents, {
          instruction,
          truncate,
          signal,
          onProgress: (one) => exchange.progressed(model, ticket, one),
        })
      );
      const tokens = ranked.reduce((sum, one) => sum + one.tokens, 0);
      const truncated = ranked.filter((one) => one.truncated).length;
      if (truncated === 0) exchange.learn(model, tokens, characters);
      exchange.counts({ tokens, truncated, characters });
      return { ranked, tokens, headers: exchange.headers() };
    } catch (error) {
      throw namedAs(error, request.nameOf);
    } finally {
      ticket.leave();
    }
  });
}
