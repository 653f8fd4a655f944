// A folder with the tiny model, in which tests run `embed`.
import { assertEquals } from "@std/assert";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "@std/path";
import { inDirectory } from "./checkpoint.ts";
import { tinyModel } from "./jobs.ts";
import { type Ended, type Given, runProgram } from "./program.ts";
import { type GivenHere, runHere } from "./run_here.ts";

/** A line of an output. */
export type Line = Record<string, unknown> & { embedding: number[]; id: unknown };

/** A folder with the tiny model. */
export interface Place {
  /** Runs `embed` with the tiny model in the folder, as a program. */
  embed(words: readonly string[], given?: Given): Promise<Ended>;
  /** The same, within this process. */
  embedHere(words: readonly string[], given?: GivenHere): Promise<Ended>;
  path(name: string): string;
  write(name: string, content: string | Uint8Array): void;
  lines(name: string): Line[];
}

/** Runs in a folder with the tiny model. */
export async function inPlace(run: (place: Place) => Promise<void>): Promise<void> {
  await inDirectory(async (directory) => {
    await tinyModel(directory);
    const path = (name: string) => join(directory, name);
    const here = <T extends GivenHere>(given: T) => {
      return { cwd: directory, ...given, env: { LLAMASAUR_MODEL: "tiny.gguf", ...given.env } };
    };
    await run({
      embed: (words, given = {}) => runProgram(["embed", ...words], here(given)),
      embedHere: (words, given = {}) => runHere(["embed", ...words], here(given)),
      path,
      write: (name, content) => {
        mkdirSync(join(path(name), ".."), { recursive: true });
        writeFileSync(path(name), content);
      },
      lines: (name) => parsed(readFileSync(path(name), "utf8")),
    });
  });
}

/** The lines of JSON. */
export function parsed(text: string): Line[] {
  return text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
}

/** Fails unless the program ended with this code. */
export function assertEnded({ code, signal, stderr }: Ended, expected: number): void {
  assertEquals(code, expected, `${signal ?? ""} ${stderr}`);
}
