/** Says how the program ends: its exit codes, the errors that a user made, and the code of any other error. */
import { commandLine } from "./program.ts";

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

/** What is told of an error, and the exit code. Goes by names: nothing of the library is loaded for it. */
export function endingOf(error: unknown): { readonly code: number; readonly message: string } {
  if (!(error instanceof Error)) return { code: EXIT.failed, message: `Cannot go on: ${String(error)}` };
  const { message, name } = error;
  if (name === "UsageError") return { code: EXIT.usage, message };
  if (error instanceof Failure) return { code: error.code, message };
  if (name === "ModelNotFoundError") {
    const model = (error as Error & { readonly model?: string }).model ?? "";
    const told = forShell(message);
    if (/: (a path has a slash.*for the one that is here give|it is a directory|it is no GGUF file)/.test(message)) {
      return { code: EXIT.missing, message: told };
    }
    const unknown = message.includes("the catalogue has no such name");
    const named = unknown ? ANY_MODEL : pullable(model);
    const remedy = unknown || named === model ? "" : "; check the path, or get a model of the catalogue:";
    return { code: EXIT.missing, message: `${told}${remedy}\n\n  ${commandLine(["pull", named])}` };
  }
  if (name === "LibraryNotFoundError") return { code: EXIT.missing, message };
  const code = (error as Error & { readonly code?: unknown }).code;
  if (name === "LlamaError" && code === "version-mismatch") return { code: EXIT.missing, message };
  if (isMisuse(error, code)) return { code: EXIT.usage, message };
  const told = ["LlamaError", "HubUnavailableError", "TypeError", "RangeError", "Error"].includes(name);
  return { code: EXIT.failed, message: told || message ? message : name };
}

/** Whether the library says that an argument is wrong, or that the model cannot do it; a runtime words its own errors otherwise. */
function isMisuse({ name, message }: Error, code: unknown): boolean {
  if (name === "LlamaError") return code === "model-unsupported";
  return ["TypeError", "RangeError"].includes(name) && /^Cannot [^\n]+: /.test(message);
}

/** What the library says of a missing model, with the verbs in the place of its own calls and scripts. */
function forShell(message: string): string {
  return message
    .replace(/get it with `[^`\n]*`(?: of "[^"\n]*")?; looked at:/, "it is at none of these places:")
    .replace(/; give the path of a file that is there, or a name of the catalogue, which `[^`\n]*`.* gets$/m, "")
    .replace(/convert\(\)(?: of the package's \.\/convert)?/, () => commandLine(["convert"]));
}

/** What `pull` gets for a model that is not here: itself, or for a path that leads nowhere any other. */
function pullable(model: string): string {
  return model.startsWith("hf:") || /^[\w.-]+$/.test(model) && !model.endsWith(".gguf") ? model : ANY_MODEL;
}
