/** What may be read without asking: on a terminal, Deno asks the user when something is read without permission. */
import process from "node:process";

type Query =
  | { readonly name: "env"; readonly variable: string }
  | { readonly name: "ffi" | "read"; readonly path: string };
/** What is used of `node:fs`, said here: a user's compiler reads it, and may have no types of Node. */
interface FileSystem {
  readFileSync(path: string, encoding: "utf8"): string;
  statSync(path: string): { isFile(): boolean; isDirectory(): boolean };
  openSync(path: string, flags: "r"): number;
  readSync(file: number, buffer: Uint8Array): number;
  closeSync(file: number): void;
}
interface DenoPermissions {
  readonly permissions: { querySync(descriptor: Query): { readonly state: string } };
}

/** Whether a permission is granted already; always true on Bun and Node. */
export function granted(descriptor: Query): boolean {
  const deno = (globalThis as { Deno?: DenoPermissions }).Deno;
  return deno === undefined || deno.permissions.querySync(descriptor).state === "granted";
}

/** An environment variable, or undefined when it is unset, empty or may not be read. */
export function env(variable: string): string | undefined {
  return granted({ name: "env", variable }) ? process.env[variable] || undefined : undefined;
}

/** `node:fs`, taken when it is used: to import it is some milliseconds of a start on Deno, and a path needs none of it. */
export function fileSystem(): FileSystem {
  return process.getBuiltinModule("node:fs");
}

/** Whether there is a file, links followed; undefined when that may not be known. */
export function isFile(path: string): boolean | undefined {
  if (!granted({ name: "read", path })) return undefined;
  try {
    return fileSystem().statSync(path).isFile();
  } catch (error) {
    if ((error as Error).name === "NotCapable") return undefined; // a link to where nothing may be read
    return false;
  }
}

/** Whether there is a folder, links followed; undefined when that may not be known. */
export function isFolder(path: string): boolean | undefined {
  if (!granted({ name: "read", path })) return undefined;
  try {
    return fileSystem().statSync(path).isDirectory();
  } catch (error) {
    return ["ENOENT", "ENOTDIR"].includes((error as { code?: string }).code ?? "") ? false : undefined;
  }
}
