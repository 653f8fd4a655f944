/** Describes a model: what its file says, how it is used, what it lacks, and the memory that texts would take. */
import type { Llama } from "@llamasaur/llamasaur";
import type { ModelHeader } from "@llamasaur/llamasaur/models";
import { columns, size } from "../layout.ts";
import { loadModel, modelName, type ModelOptions, promptsOf } from "../model.ts";
import { count } from "../progress.ts";
import { quoted, shown } from "../quote.ts";
import type { Session } from "../session.ts";
import { integer } from "../values.ts";
import type { Given, Verb } from "../verb.ts";

/** The options of `inspect`. */
export interface InspectOptions extends ModelOptions {
  readonly texts: number;
  readonly tokens: number;
  readonly tensors?: boolean;
  readonly json?: boolean;
}

/** What is printed, with `--json` as it stands. */
type Description = Awaited<ReturnType<typeof describe>>;

/** The verb. */
export const verb: Verb<InspectOptions> = {
  arguments: "[model]",
  description: "Describes a model, a file or a name: what its file says, how it is used, what it lacks, what it takes.",
  shared: ["model", "json"],
  options: [
    {
      flags: "--texts <count>",
      description: "tells the memory for so many",
      default: 1000,
      read: integer("--texts", 1),
    },
    { flags: "--tokens <count>", description: "of so many tokens", default: 100, read: integer("--tokens", 1) },
    { flags: "--tensors", description: "lists the tensors, too" },
  ],
  examples: ["inspect all-minilm-l6-v2", "inspect all-minilm-l6-v2 --texts 100000 --tokens 128 --json"],
  run,
};

async function run({ args: [named], options }: Given<InspectOptions>, session: Session): Promise<void> {
  const model = named ?? modelName(options);
  const warnings: string[] = [];
  await using llama = await loadModel(model, options, session, {
    onLog: ({ level, message }) => void (level === "warn" && warnings.push(message)),
  });
  const { readHeader, resolveModel } = await import("@llamasaur/llamasaur/models");
  const header = await readHeader(resolveModel(model));
  const description = await describe(model, llama, header, warnings, options);
  if (options.json) {
    await session.json(options.tensors ? { ...description, tensors: header.tensors } : description);
    return;
  }
  await session.write(columns(rowsOf(description, options)));
  if (options.tensors) {
    const rows = header.tensors.map(({ name, shape, type, bytes }) => [
      shown(name),
      shape.join(" x "),
      type,
      bytes === undefined ? "" : size(bytes),
    ]);
    await session.write(`\n${columns(rows)}`);
  }
}

async function describe(
  model: string,
  llama: Llama,
  { path, size, version, metadata, tensors }: ModelHeader,
  warnings: readonly string[],
  { texts, tokens }: InspectOptions,
) {
  const { info } = llama;
  return {
    model,
    path,
    size,
    name: textOf(metadata["general.name"]),
    architecture: info.architecture,
    type: info.quantization,
    parameters: info.parameters,
    tensorCount: tensors.length,
    ggufVersion: version,
    dimensions: info.dimensions,
    pooling: info.pooling,
    maxTokens: info.maxTokens,
    contextLength: info.contextLength,
    vocabularySize: info.vocabularySize,
    prompts: info.prompts ?? null,
    specialTokens: await specialTokens(llama, metadata),
    around: await piecesAround(llama),
    template: textOf(metadata["tokenizer.chat_template.rerank"]) ?? await catalogueTemplate(model),
    labels: info.labels,
    reranker: info.reranker,
    device: info.device,
    kernels: info.kernels,
    fastestWeights: info.fastestWeights ?? null,
    exact: info.exact,
    exactness: info.exactness,
    warnings,
    fingerprint: info.fingerprint,
    memory: { texts, tokens, ...await llama.estimateMemory(new Uint32Array(texts).fill(tokens)) },
  };
}

function textOf(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

/** Special tokens by what they are for, with their id and the vocabulary's text: the file's `…_token_id`. */
async function specialTokens(
  llama: Llama,
  metadata: ModelHeader["metadata"],
): Promise<Record<string, { id: number; piece: string }>> {
  const found: [string, number][] = [];
  for (const [key, id] of Object.entries(metadata)) {
    const [, use] = /^tokenizer\.ggml\.(\w+)_token_id$/.exec(key) ?? [];
    const known = typeof id === "number" && id >= 0 && id < llama.info.vocabularySize; // 2^32 - 1 is "none"
    if (use !== undefined && known) found.push([use === "seperator" ? "separator" : use, id]); // so GGUF spells it
  }
  const pieces = await llama.pieces(found.map(([, id]) => id));
  return Object.fromEntries(found.map(([use, id], i) => [use, { id, piece: pieces[i]! }]));
}

/** What the model puts before and behind a text. */
async function piecesAround(llama: Llama): Promise<{ readonly before: string[]; readonly after: string[] }> {
  const [empty, text] = [await llama.tokenize(""), await llama.tokenize("a")];
  let before = 0;
  while (before < empty.length && empty[before] === text[before]) before++;
  const pieces = await llama.pieces(empty);
  return { before: pieces.slice(0, before), after: pieces.slice(before) };
}

/** The template that the catalogue has for a model whose file has none. */
async function catalogueTemplate(model: string): Promise<string | readonly string[] | null> {
  const { catalogue } = await import("@llamasaur/llamasaur/models");
  const entry = Object.entries(catalogue).find(([name, { repository }]) =>
    name === model.toLowerCase() || model.startsWith(`hf:${repository}/`)
  );
  return entry?.[1].template ?? null;
}

const RERANKS = {
  "cross-encoder": "by the classification head, of query and document together",
  "yes-no": "by how likely the model answers yes",
  "cosine": "by the cosine of two vectors",
} as const;

function rowsOf(about: Description, { tokens }: InspectOptions): string[][] {
  const { prompts, specialTokens, around, labels, exactness, memory } = about;
  const cut = tokens > about.maxTokens
    ? `${count(about.maxTokens)} tokens (longer ones are cut)`
    : `${count(tokens)} tokens`;
  const list = (name: string, lines: readonly string[]) => lines.map((line, i) => [i === 0 ? name : "", line]);
  return [
    ["model", about.name === null ? shown(about.model) : quoted(about.name)],
    ["file", shown(about.path)],
    ["architecture", `${about.architecture}, ${count(about.parameters)} parameters in ${about.tensorCount} tensors`],
    ["type", `${about.type}, ${size(about.size)}`],
    ["dimensions", `${about.dimensions}`],
    ["pooling", about.pooling],
    ["limit", `${count(about.maxTokens)} tokens; it has positions for ${count(about.contextLength)}`],
    ["prompts", promptsOf(prompts)],
    ["vocabulary", `${count(about.vocabularySize)} tokens`],
    ...list("special", Object.entries(specialTokens).map(([use, { id, piece }]) => `${use} ${quoted(piece)} (${id})`)),
    ["a text is", [...quotedAll(around.before), "text", ...quotedAll(around.after)].join(" ")],
    ["template", about.template === null ? "none" : quoted([about.template].flat().join(""), 1000)],
    ["labels", labels.length === 0 ? "none" : quotedAll(labels).join(", ")],
    ["reranks", RERANKS[about.reranker]],
    ["computes on", about.kernels.length > 0 ? `${about.device}, kernels ${about.kernels.join(", ")}` : about.device],
    ...about.fastestWeights ? [["fastest here", `weights in ${about.fastestWeights}`]] : [],
    ["exact", about.exact ? "yes: all that changes a result is known to be as in the original" : "not known to be"],
    ...list("known", exactness.known),
    ...list("lacks", exactness.lacks),
    ...list("unknown", exactness.unknown),
    ...list("warnings", about.warnings.filter((line) => !exactness.lacks.some((lack) => line.includes(lack)))),
    ["fingerprint", about.fingerprint],
    [
      "memory",
      `${size(memory.total)} for ${count(memory.texts)} texts of ${cut}: weights ${size(memory.weights)}, contexts ` +
      `${size(memory.contexts)}, vectors ${size(memory.outputs)}`,
    ],
  ];
}

function quotedAll(texts: readonly string[]): string[] {
  return texts.map((text) => quoted(text));
}
