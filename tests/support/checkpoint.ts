// Checkpoints for the tests: copies of the tiny fixtures to be damaged, and safetensors files made from scratch.
import { Buffer } from "node:buffer";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

/** An entry of a safetensors header; what a test damages may be of any kind. */
export type Header = Record<string, unknown>;

/** Path of a fixture. */
export function fixture(name: string): string {
  return fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));
}

/** Runs with a new directory, which is gone afterwards. */
export async function inDirectory(run: (directory: string) => void | Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "llamasaur-"));
  try {
    await run(directory);
  } finally {
    await remove(directory);
  }
}

/** Removes a directory. Windows lets go of a process's files a moment after its end, and never of a library that was opened. */
async function remove(directory: string): Promise<void> {
  for (let left = process.platform === "win32" ? 40 : 0;; left--) {
    try {
      return rmSync(directory, { recursive: true, force: true });
    } catch (error) {
      if (left > 0) await sleep(50);
      else if (process.platform === "win32" && (error as NodeJS.ErrnoException).code === "EPERM") return;
      else throw error;
    }
  }
}

/** Copies a fixture checkpoint into a directory and returns the copy's path. */
export function copyCheckpoint(name: string, directory: string): string {
  const copy = join(directory, name);
  cpSync(fixture(name), copy, { recursive: true });
  return copy;
}

/** Changes keys of a JSON file; a key set to undefined goes. */
export function editJson(path: string, changes: Record<string, unknown>): void {
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), ...changes }));
}

/** Writes a safetensors file with this header and data, of whatever sense. */
export function writeSafetensors(path: string, header: Header | string, data: Uint8Array = new Uint8Array()): void {
  const json = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const length = new Uint8Array(new BigUint64Array([BigInt(json.length)]).buffer);
  writeFileSync(path, Buffer.concat([length, json, data]));
}

/** The header of a safetensors file and its data. */
export function openSafetensors(path: string): { header: Record<string, StoredEntry>; data: Uint8Array } {
  const bytes = readFileSync(path);
  const end = 8 + Number(bytes.readBigUInt64LE());
  return { header: JSON.parse(bytes.toString("utf8", 8, end)), data: new Uint8Array(bytes.subarray(end)) };
}

export interface StoredEntry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

/** Header and data of a file with these tensors, one behind the other. */
export function packed(
  tensors: [name: string, { dtype: string; shape: number[]; data: Uint8Array }][],
): [header: Header, data: Uint8Array] {
  let end = 0;
  const header = tensors.map(([name, { dtype, shape, data }]) => {
    const entry: StoredEntry = { dtype, shape, data_offsets: [end, end += data.length] };
    return [name, entry];
  });
  return [Object.fromEntries(header), Buffer.concat(tensors.map(([, { data }]) => data))];
}
