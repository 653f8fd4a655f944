/** What processes take, by /proc. */
import { readdirSync, readFileSync } from "node:fs";

/** A process and all below it. */
export function treeOf(pid: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of entries("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const parent = parentOf(name);
    if (parent !== undefined) children.set(parent, [...children.get(parent) ?? [], Number(name)]);
  }
  const tree = [pid];
  for (const one of tree) tree.push(...children.get(one) ?? []); // grows while it is walked
  return tree;
}

/** The most memory that a process and its children have held, each by itself, in bytes; 0 without /proc. */
export function peakBytes(pid: number): number {
  return treeOf(pid).reduce((sum, one) => sum + highWater(one), 0);
}

function highWater(pid: number): number {
  const kilobytes = /^VmHWM:\s*(\d+) kB$/m.exec(read(`/proc/${pid}/status`))?.[1];
  return Number(kilobytes ?? 0) * 1024;
}

/** The program's name, between brackets, may hold anything: what follows the last one counts. */
function parentOf(pid: string): number | undefined {
  const parent = /.*\) \S (\d+)/s.exec(read(`/proc/${pid}/stat`))?.[1];
  return parent === undefined ? undefined : Number(parent);
}

function entries(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // it has ended
  }
}
