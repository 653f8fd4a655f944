/** Makes a GGUF file of a checkpoint: `convert()`, with a progress line. */
import { UsageError } from "../failure.ts";
import type { Session } from "../session.ts";
import type { Given, Verb } from "../verb.ts";

/** The options of `convert` and `quantize`. */
export interface FileOptions {
  readonly json?: boolean;
}

/** The verb. */
export const verb: Verb<FileOptions> = {
  arguments: "<dir> <out> [type]",
  description: "Makes a GGUF file of a checkpoint's folder. Weights are f32, or of the type that is given.",
  shared: ["json"],
  options: [],
  examples: ["convert all-MiniLM-L6-v2 minilm-f32.gguf", "convert all-MiniLM-L6-v2 minilm-q8_0.gguf q8_0"],
  run,
};

async function run({ args: [directory = "", out = "", type], options }: Given<FileOptions>, session: Session) {
  const { convert } = await import("@llamasaur/llamasaur/convert");
  const weights = type as NonNullable<Parameters<typeof convert>[2]>["type"]; // convert() looks whether it is one
  await writeModel(
    directory,
    out,
    options,
    session,
    (more) => convert(directory, out, { ...more, ...(type && { type: weights }) }),
  );
}

/** What `convert()` and `quantize()` both take. */
interface Watch {
  readonly signal: AbortSignal;
  readonly onProgress: (part: number) => void;
}

/** Has a file written of what is at a path, with progress; prints its path. */
export async function writeModel(
  input: string,
  out: string,
  { json }: FileOptions,
  session: Session,
  write: (watch: Watch) => Promise<void>,
): Promise<void> {
  const { stat } = await import("node:fs/promises");
  const onProgress = (part: number): void => session.progress("%", { done: Math.floor(part * 100), total: 100 });
  await write({ signal: session.signal, onProgress }).catch(async (error) => {
    const isThere = await stat(input).then(() => true, ({ code }) => code !== "ENOENT");
    throw isThere || session.signal.aborted ? error : new UsageError((error as Error).message, { cause: error });
  });
  const { size } = await stat(out);
  if (json) await session.json({ path: out, size });
  else await session.write(`${out}\n`);
}
