/** Says how the program ends: its exit codes, the errors that a user made, and the code of any other error. */
import type { ModelNotFoundError } from "@llamasaur/llamasaur";
import { allowed, commandLine } from "./program.ts";
import { quoted } from "./quote.ts";

/** Exit codes; docs/command-line.md has them. */
export const EXIT = {
  done: 0,
  /** Something failed. */
  failed: 1,
  /** Wrong use. */
  usage: 2,
  /** The library or the model is not there. */
  missing: 3,
  /** Done, but for inputs that were skipped. */
  skipped: 4,
  /** After SIGINT. */
  interrupted: 130,
  /** After SIGTERM. */
  terminated: 143,
} as const;

/** A small model of the catalogue, for who has none. */
export const ANY_MODEL = "all-minilm-l6-v2";

/** What was typed is wrong; the message says what is wanted. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** The work cannot go on, and the message alone says why: no stack is shown. */
export class Failure extends Error {
  override readonly name = "Failure";
  /** The exit code. */
  readonly code: number;

  constructor(message: string, code: number = EXIT.failed, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/**
 * What is told of an error, and the exit code. Goes by names: nothing of the library is loaded for it.
 *
 * @param words What the program was given.
 */
export function endingOf(
  error: unknown,
  words: readonly string[],
): { readonly code: number; readonly message: string } {
  if (!(error instanceof Error)) return { code: EXIT.failed, message: `Cannot go on: ${String(error)}` };
  const { message, name } = error;
  if (name === "NotCapable") {
    return { code: EXIT.failed, message: `${message}, or with all that verbs need:\n\n  ${allowed(words)}\n` };
  }
  if (name === "UsageError") return { code: EXIT.usage, message };
  if (error instanceof Failure) return { code: error.code, message };
  if (name === "ModelNotFoundError") {
    return { code: EXIT.missing, message: missingModel(error as ModelNotFoundError) };
  }
  if (name === "LibraryNotFoundError") return { code: EXIT.missing, message };
  const code = (error as Error & { readonly code?: unknown }).code;
  if (name === "LlamaError" && code === "version-mismatch") return { code: EXIT.missing, message };
  if (isWrongArgument(error) || name === "LlamaError" && code === "model-unsupported") {
    return { code: EXIT.usage, message };
  }
  const told = ["LlamaError", "HubUnavailableError", "TypeError", "RangeError", "Error"].includes(name);
  return { code: EXIT.failed, message: told || message ? message : name };
}

/** Whether the library says that an argument is wrong; a runtime words its own errors otherwise. */
export function isWrongArgument({ name, message }: Error): boolean {
  return ["TypeError", "RangeError"].includes(name) && /^Cannot [^\n]+: /.test(message);
}

/** What the library says of a model that is not here, with the verb that gets it in the place of the library's own call or script. */
function missingModel({ message, model, remedy }: ModelNotFoundError): string {
  const [, ...places] = message.split("\n");
  const told = remedy === undefined
    ? `${message}. To get a small model for English:`
    : [`Cannot find model ${quoted(model)}: it is at none of these places:`, ...places].join("\n");
  return `${told}\n\n  ${commandLine(["pull", remedy === undefined ? ANY_MODEL : model])}`;
}
