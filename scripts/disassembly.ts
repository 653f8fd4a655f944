// Compares the machine code of two builds of our C and C++, function by function: what a move of files must not change.
//   deno run -A scripts/disassembly.ts BEFORE AFTER       two build directories (`deno task build` prints its own)
// Addresses, the places of constants and the names of files are left out. Prints each function that differs.
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";

/** Bodies by the function's name; a name that several files have (each instruction set's kernels) has several. */
export type Functions = ReadonlyMap<string, readonly string[]>;

/** Reads what `objdump -dr --no-show-raw-insn` prints of object files. */
export function functionsOf(listing: string): Functions {
  const found = new Map<string, string[]>();
  let [name, body]: [string | undefined, string[]] = [undefined, []];
  const end = (): void => {
    if (name !== undefined) found.set(name, [...(found.get(name) ?? []), body.join("\n")].sort());
    [name, body] = [undefined, []];
  };
  for (const line of listing.split("\n")) {
    const [, started] = /^[0-9a-f]+ <(.+)>:$/.exec(line) ?? [];
    if (started !== undefined) {
      end();
      name = started.replace(/^_GLOBAL__sub_I_.*/, "_GLOBAL__sub_I_"); // named for its file
    } else if (/^\S/.test(line)) end(); // the next section or file
    else if (line.trim() !== "") body.push(instruction(line));
  }
  end();
  return found;
}

/** A line without addresses and without the places of constants in the file. */
function instruction(line: string): string {
  return line.replace(/^\s*[0-9a-f]+:\s*/, "").replace(/\b[0-9a-f]+ (<[^>]+>)/, "$1")
    .replace(/(\.L?[A-Za-z_.0-9]+)[+-]0x[0-9a-f]+$/, "$1").replace(/\.LC\d+/g, ".LC").replace(/\s+/g, " ")
    .replace(/_GLOBAL__sub_I_\S*?(?=[+>-]|$)/g, "_GLOBAL__sub_I_").trim();
}

/** The names of functions that only one side has, or whose bodies differ. */
export function differences(before: Functions, after: Functions): string[] {
  const names = new Set([...before.keys(), ...after.keys()]);
  return [...names].sort().flatMap((name) => {
    const [old, now] = [before.get(name), after.get(name)];
    if (old === undefined) return [`only after:  ${name}`];
    if (now === undefined) return [`only before: ${name}`];
    return JSON.stringify(old) === JSON.stringify(now) ? [] : [`differs:     ${name}`];
  });
}

function read(directory: string): Functions {
  const folder = join(directory, "cmake", "CMakeFiles");
  const objects = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => /^(llamasaur|kernels|cpu_features)\.dir.*\.o(bj)?$/.test(name)).map((name) => join(folder, name));
  const args = ["-dr", "-C", "--no-show-raw-insn", ...objects];
  const { status, stdout, stderr } = spawnSync("objdump", args, { encoding: "utf8", maxBuffer: 2 ** 30 });
  if (status !== 0) throw new Error(`Cannot run objdump: ${stderr}`);
  return functionsOf(stdout);
}

if (import.meta.main) {
  const [before, after] = process.argv.slice(2);
  if (!before || !after) throw new RangeError("usage: scripts/disassembly.ts BEFORE AFTER");
  const [old, now] = [read(before), read(after)];
  const found = differences(old, now);
  for (const line of found) console.log(line);
  console.log(`${found.length} of ${new Set([...old.keys(), ...now.keys()]).size} functions differ`);
  process.exitCode = found.length > 0 ? 1 : 0;
}
