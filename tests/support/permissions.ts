// Which permissions a program on Deno uses: what is among them and was not granted would be asked for on a terminal.
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

/** A program's variables with which Deno notes each use of a permission, and what was noted since the last call. */
export interface Noted {
  readonly env: Readonly<Record<string, string>>;
  /** The uses of others than these, each as `read /path`. */
  besides(...granted: string[]): string[];
}

/** Has Deno note the permissions that a program uses, in a file of a folder. */
export function notePermissions(directory: string): Noted {
  const file = join(directory, "permissions.jsonl");
  return {
    env: { DENO_AUDIT_PERMISSIONS: file },
    besides(...granted: string[]): string[] {
      const lines = existsSync(file) ? readFileSync(file, "utf8").trim().split("\n").filter(Boolean) : [];
      rmSync(file, { force: true });
      const uses = lines.map((line) => JSON.parse(line) as { permission: string; value: string });
      return uses.filter(({ permission }) => !granted.includes(permission))
        .map(({ permission, value }) => `${permission} ${value}`);
    },
  };
}
