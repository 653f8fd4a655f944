/** What is asked: each cell by so many connections, with so many texts a request, and how the engine does the same. */
import type { Job } from "./sample.ts";

/** One kind of asking. */
export interface Cell {
  readonly name: string;
  readonly kind: "embed" | "rerank" | "mix" | "query" | "health";
  readonly connections: number;
  /** Texts of a request. */
  readonly texts: number;
  readonly path: string;
  readonly body: (job: Job) => object;
  /** The engine's line, without the seconds; without one it does not take part. */
  readonly line?: string;
}

const EMBEDDINGS = "/v1/embeddings";

function singles(connections: number): Cell {
  return {
    ...{ name: `${connections} × 1 text`, kind: "embed", connections, texts: 1, path: EMBEDDINGS },
    body: ({ texts }) => ({ input: texts[0], model: "m" }),
    line: `embed ${connections}`, // one call over as many texts
  };
}

function lists(name: string, encoding_format: string): Cell {
  return {
    ...{ name: `4 × 64 texts, ${name}`, kind: "embed", connections: 4, texts: 64, path: EMBEDDINGS },
    body: ({ texts }) => ({ input: texts.slice(0, 64), model: "m", encoding_format }),
    line: "embed 256",
  };
}

function ownClients(name: string, kind: Cell["kind"], line?: string): Cell {
  return { name, kind, connections: 1, texts: 1, path: "", body: () => ({}), ...(line && { line }) };
}

/** The cells by name, for whoever reads figures. */
export const NAMES = {
  one: "1 × 1 text",
  wide: "64 × 1 text",
  base64: "4 × 64 texts, base64",
  floats: "4 × 64 texts, floats",
  query: "one short query",
  health: "/healthz",
  mix: "mix: queries beside 256 texts",
  rerank: "rerank, 1 × 50",
} as const;

/** Every cell. */
export const CELLS: readonly Cell[] = [
  ...[1, 8, 64, 256].map(singles),
  lists("base64", "base64"),
  lists("floats", "float"),
  ownClients(NAMES.query, "query", "query"),
  ownClients(NAMES.mix, "mix", "mix"),
  {
    ...{ name: NAMES.rerank, kind: "rerank", connections: 1, texts: 50, path: "/v1/rerank" },
    body: ({ query, documents }) => ({ query, documents, model: "m" }),
    line: "rerank",
  },
  ownClients(NAMES.health, "health"),
];
