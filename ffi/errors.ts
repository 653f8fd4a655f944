/** Makes the errors of this package. Wrong arguments are TypeError or RangeError and not in here. */
import { STATUS } from "./symbols.ts";

export { STATUS };

import { LONGEST_REASON, printable, printableLines } from "./host/printable.ts";

/** What kind of failure a {@linkcode LlamaError} is. */
export type LlamaErrorCode =
  | "model-invalid"
  | "model-unsupported"
  | "out-of-memory"
  | "context-lost"
  | "non-finite"
  | "closed"
  | "version-mismatch";

/**
 * A failure of the native library, of a model file, or of a call after `close()`.
 *
 * The message ends in llama.cpp's own error lines where there are any.
 *
 * @example
 * ```ts
 * import { Llama, LlamaError } from "@llamasaur/llamasaur";
 *
 * try {
 *   await Llama.load("./README.md");
 * } catch (error) {
 *   if (error instanceof LlamaError) console.log(error.code); // "model-invalid"
 *   else throw error;
 * }
 * ```
 */
export class LlamaError extends Error {
  /** The error's name. */
  override readonly name = "LlamaError";
  /** What kind of failure it is. */
  readonly code: LlamaErrorCode;
  /** The command of a shell that mends it; undefined where none does. The message has it, too. */
  readonly remedy: string | undefined;
  /** The `memoryLimit`, in bytes, that had no room; undefined where the system had no memory, and of every other code. */
  readonly memoryLimit: number | undefined;

  /**
   * Makes an error; only this package does.
   *
   * @param code What kind of failure it is.
   * @param message What failed, with which value, and the remedy.
   * @param options The cause, if another error led to this one, the command that mends it, if one does, and the limit that had
   *   no room, if one is set.
   */
  constructor(
    code: LlamaErrorCode,
    message: string,
    options?: ErrorOptions & { readonly remedy?: string; readonly memoryLimit?: number | undefined },
  ) {
    super(printableLines(message), options);
    this.code = code;
    this.remedy = options?.remedy;
    this.memoryLimit = options?.memoryLimit;
  }
}

/**
 * The native library was found in none of the places; the message lists each with its reason and the build command.
 *
 * @example
 * ```ts
 * import { LibraryNotFoundError, Llama } from "@llamasaur/llamasaur";
 *
 * await Llama.load("models/all-minilm-l6-v2-q8_0.gguf", { library: "/no/such/library.so" }).catch((error) => {
 *   if (error instanceof LibraryNotFoundError) console.log(error.tried.length); // 1
 *   else throw error;
 * });
 * ```
 */
export class LibraryNotFoundError extends Error {
  /** The error's name. */
  override readonly name = "LibraryNotFoundError";
  /** The places that were looked at, with what was wrong with each. */
  readonly tried: readonly string[];
  /** The command of a shell that gets the library, or builds it. The message has it, too. */
  readonly remedy: string;

  /**
   * Makes an error; only this package does.
   *
   * @param message What was looked for and how to get it.
   * @param tried One line a place: its path and the reason.
   * @param remedy The command that gets or builds it.
   */
  constructor(message: string, tried: readonly string[], remedy: string) {
    super(printableLines(message));
    this.tried = tried;
    this.remedy = remedy;
  }
}

/**
 * There is no model file at the path or by the name; the message has the command or call that gets it.
 *
 * @example
 * ```ts
 * import { Llama, ModelNotFoundError } from "@llamasaur/llamasaur";
 *
 * await Llama.load("models/none.gguf").catch((error) => {
 *   if (error instanceof ModelNotFoundError) console.log(error.model); // models/none.gguf
 *   else throw error;
 * });
 * ```
 */
export class ModelNotFoundError extends Error {
  /** The error's name. */
  override readonly name = "ModelNotFoundError";
  /** The path or name that was asked for. */
  readonly model: string;
  /**
   * The command of a shell that gets this very model, where this package is installed the call; undefined where none does: by
   * another name or path it may be there. The message has it, too.
   */
  readonly remedy: string | undefined;

  /**
   * Makes an error; only this package does.
   *
   * @param message What was looked for and how to get it.
   * @param model The path or name that was asked for.
   * @param remedy The command or call that gets it, if one does.
   */
  constructor(message: string, model: string, remedy?: string) {
    super(printableLines(message));
    this.model = model;
    this.remedy = remedy;
  }
}

const WORDS: Record<number, string> = {
  [STATUS.BUSY]: "the native lane is busy or was freed",
  [STATUS.NO_CONTEXT]: "there is no context",
  [STATUS.EMPTY]: "the batch or one of its sequences is empty",
  [STATUS.SEQUENCE_TOO_LONG]: "a sequence is longer than the context or than the model was trained for",
  [STATUS.BATCH_TOO_LARGE]: "the batch has more tokens than one pass takes",
  [STATUS.TOO_MANY_SEQUENCES]: "the batch has more sequences than the context takes",
  [STATUS.BAD_TOKEN]: "a token id is outside the vocabulary",
  [STATUS.BAD_ARGUMENT]: "an argument is not valid",
  [STATUS.EXITING]: "the process is exiting",
  [STATUS.LOST]: "llama.cpp hit an assertion or threw",
  [STATUS.ABORTED]: "it was aborted",
  [STATUS.NULL]: "llama.cpp refused",
  [STATUS.OUT_OF_MEMORY]: "there is not enough memory",
  [STATUS.DECODE_FAILED]: "llama.cpp could not compute the batch",
  [STATUS.NO_OUTPUT]: "llama.cpp gave no embedding for a sequence",
  [STATUS.NOT_FOUND]: "there is no such file",
  [STATUS.NOT_GGUF]: "it is no GGUF file",
  [STATUS.UNSOUND]: "the file is damaged or made wrong",
};

// llama.cpp's words for a file that is whole, but of a kind that it does not know.
const UNKNOWN = /unknown (model architecture|pre-tokenizer type|tokenizer):/;

/**
 * Makes the error for a job's status.
 *
 * @param status A negative status.
 * @param action What could not be done, as in "Cannot <action>".
 * @param lines llama.cpp's own error lines.
 * @param code The kind of failure, where the status alone does not tell it.
 */
export function statusError(status: number, action: string, lines: string, code?: LlamaErrorCode): LlamaError {
  const kind = status === STATUS.OUT_OF_MEMORY
    ? "out-of-memory"
    : code === "model-invalid" && UNKNOWN.test(lines)
    ? "model-unsupported"
    : code ?? "context-lost";
  const words = WORDS[status] ?? `unknown status ${status}`;
  const told = lines.trim().split("\n").map((line) => line.trim()).filter(Boolean);
  const tail = told.map((line) => printable(line, undefined, LONGEST_REASON)).join(" | ");
  return new LlamaError(kind, `Cannot ${action}: ${words}${tail && `: ${tail}`}`);
}

/**
 * The hub gave no answer, or not all of it: it may do so later.
 *
 * @example
 * ```ts
 * import { download, HubUnavailableError } from "@llamasaur/llamasaur/models";
 *
 * await download("hf:owner/repository/file.gguf", { endpoint: "http://127.0.0.1:1", cache: "models" }).catch((error) => {
 *   if (error instanceof HubUnavailableError) console.log("try again later");
 *   else throw error;
 * });
 * ```
 */
export class HubUnavailableError extends Error {
  /** The error's name. */
  override readonly name = "HubUnavailableError";
}
