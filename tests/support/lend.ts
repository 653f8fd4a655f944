// What tests do about symbolic links, which not every system makes.
import { cpSync, existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Whether there is a link after one was made: Windows without developer mode refuses, and wine makes none and says nothing. */
export const canLink: boolean = makesLinks();

function makesLinks(): boolean {
  const folder = mkdtempSync(join(tmpdir(), "llamasaur-link-"));
  try {
    writeFileSync(join(folder, "file"), "");
    symlinkSync("file", join(folder, "link"));
    return existsSync(join(folder, "link"));
  } catch {
    return false;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Puts a file or a folder at a second place, for a test that looks for it there: a link, else a copy. */
export function lend(target: string, path: string): void {
  if (canLink) symlinkSync(target, path);
  else cpSync(target, path, { recursive: true });
}
