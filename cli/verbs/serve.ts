/** Serves models over HTTP. */
import { MODEL_OPTIONS } from "../model.ts";
import type { ServeFlags } from "../serve/settings.ts";
import type { Session } from "../session.ts";
import { span } from "../spans.ts";
import { bytes, collectedApart, integer } from "../values.ts";
import type { Given, Verb, VerbOption } from "../verb.ts";

// A path may have spaces and commas, so models of a variable are apart by lines.
const MODEL_LINES = collectedApart("\n");
const NAMES = collectedApart(",");

const MODELS: readonly VerbOption[] = [
  { flags: "--embed <model[=name,alias...]>", description: "a model that embeds; repeatable", read: MODEL_LINES },
  { flags: "--rerank <model[=name,alias...]>", description: "a model that reranks; repeatable", read: MODEL_LINES },
  { flags: "--config <file>", description: "JSON that has all this for each model; docs/server.md" },
  { flags: "--strict-names", description: "serve a model by its own names alone" },
  { flags: "--query-prompt <text>", description: "what goes before a query; may be empty", mayBeEmpty: true },
  { flags: "--document-prompt <text>", description: "what goes before a document; may be empty", mayBeEmpty: true },
  {
    flags: "--dimensions <count>",
    description: "dimensions where a request names none",
    read: integer("--dimensions", 1),
  },
  {
    flags: "--truncate <end>",
    description: "what becomes of long texts where a request says nothing (default: end)",
    choices: ["end", "start", "error"],
  },
  {
    flags: "--keep-alive <span>",
    description: "unload a model that is idle so long (default: never)",
    read: span("--keep-alive"),
  },
  { flags: "--lazy", description: "load a model when it is asked for" },
];

const SOCKET: readonly VerbOption[] = [
  { flags: "--host <address>", description: "address to listen on (default: 127.0.0.1)" },
  { flags: "--port <number>", description: "port (default: 8411)", read: integer("--port", 0, 65535) },
  { flags: "--api-key-file <file>", description: "keys, one a line, one of which a request must have" },
  { flags: "--no-auth", description: "need no key, also where others reach the server" },
  { flags: "--allow-host <name>", description: "a Host that is accepted, too; repeatable", read: NAMES },
  { flags: "--cors <origin>", description: "an Origin that is accepted, too; repeatable", read: NAMES },
];

const LOAD: readonly VerbOption[] = [
  {
    flags: "--max-queue-tokens <count>",
    description: "tokens that may wait for a model (default: 2000000)",
    read: integer("--max-queue-tokens", 1),
  },
  {
    flags: "--max-batch-size <count>",
    description: "texts of one request (default: any number)",
    read: integer("--max-batch-size", 1),
  },
  { flags: "--max-body <bytes>", description: "bytes of a body (default: 64MB)", read: bytes("--max-body") },
  { flags: "--timeout <span>", description: "the time of a request (default: any)", read: span("--timeout") },
  {
    flags: "--drain <span>",
    description: "time between not ready and no new connections (default: 0)",
    read: span("--drain"),
  },
  {
    flags: "--grace <span>",
    description: "time for running requests at the end (default: 30s)",
    read: span("--grace"),
  },
  { flags: "--log <form>", description: "form of the log (default: text)", choices: ["json", "text"] },
  { flags: "--print-config", description: "print what is settled, and end" },
];

/** The verb. */
export const verb: Verb<ServeFlags> = {
  arguments: "",
  description: "Serves models over HTTP, in the routes of OpenAI, Jina, Cohere, Ollama and text-embeddings-inference.",
  shared: [],
  options: [...MODELS, ...SOCKET, ...LOAD].map(withVariable)
    .concat(MODEL_OPTIONS.filter(({ flags }) => !flags.startsWith("--model"))),
  examples: [
    "serve --embed all-minilm-l6-v2 --port 0 --print-config",
    "serve --embed all-minilm-l6-v2=minilm,text-embedding-3-small --keep-alive 5m --print-config",
  ],
  run: async ({ options, words }: Given<ServeFlags>, session: Session): Promise<void> => {
    const { serve } = await import("../serve/start.ts");
    const { auth, ...rest } = options; // commander has true where nothing was given
    await serve(auth === false ? options : rest, session, words);
  },
};

/** Each option has a variable of the environment: `--max-body` has LLAMASAUR_MAX_BODY. */
function withVariable(option: VerbOption): VerbOption {
  const name = /^--([\w-]+)/.exec(option.flags)![1]!;
  return { ...option, env: `LLAMASAUR_${name.replaceAll("-", "_").toUpperCase()}` };
}
