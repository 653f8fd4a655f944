// What scarcity.ts runs: places_worker.ts CASE SEED RUNS DIRECTORY; each case gets a directory that suits it.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { build } from "../../build/mod.ts";
import { convert, quantize } from "../../convert.ts";
import { candidates } from "../../ffi/open.ts";
import { Llama } from "../../mod.ts";
import { download } from "../../models.ts";
import { fixture } from "../support/checkpoint.ts";
import { filesOf, ggufOf, HubServer, NAME } from "../support/hub_server.ts";
import { randomIntegers } from "../support/random.ts";
import { tell } from "./worker.ts";

const [name = "", seed = "", runs = "", directory = ""] = process.argv.slice(2);
const draw = randomIntegers(Number(seed));
const library = candidates().find(({ path, skipped }) => !skipped && existsSync(path))!.path;
const large = join(dirname(directory), "f32.gguf"); // outside of the place that is scarce
await convert(fixture("tiny_bert"), large);
await using hub = await HubServer.start({ "owner/repo/model.gguf": ggufOf(300_000) });

/** What writes a file: where, and how. */
const WRITERS: Record<string, { file(at: string): string; write(at: string): Promise<unknown> }> = {
  download: {
    file: (at) => join(at, "hub"),
    write: (at) => download(NAME, { cache: join(at, "hub"), endpoint: hub.endpoint, token: "", onProgress: () => {} }),
  },
  convert: {
    file: (at) => join(at, "made.gguf"),
    write: (at) => convert(fixture("tiny_bert"), join(at, "made.gguf")),
  },
  quantize: {
    file: (at) => join(at, "made.gguf"),
    write: (at) => quantize(large, join(at, "made.gguf"), "q8_0", { threads: 1 }),
  },
  build: {
    file: (at) => join(at, "lib"),
    write: (at) => build({ out: join(at, "lib"), onLine: () => {} }),
  },
};

/** Files that somebody could take for whole ones. */
function finished(at: string): string[] {
  return filesOf(at).filter((path) => !/\.incomplete$|^ballast$|\.locks\//.test(path));
}

function failureOf(work: Promise<unknown>): Promise<Error | undefined> {
  return work.then(() => undefined, (error) => error instanceof Error ? error : new Error(`no Error: ${error}`));
}

/** A disk with too little room, then one with enough. */
async function full(): Promise<void> {
  for (let run = 0; run < Number(runs); run++) {
    const kind = Object.keys(WRITERS)[run % 4]!;
    const { write, file } = WRITERS[kind]!;
    for (const path of readdirSync(directory)) rmSync(join(directory, path), { recursive: true });
    const { bavail, bsize } = statfsSync(directory);
    const room = draw(0, 10) * 4096; // all of the files are larger
    writeFileSync(join(directory, "ballast"), new Uint8Array(Math.max(0, bavail * bsize - room)));
    const error = await failureOf(write(directory));
    const left = finished(directory);
    const words = /ENOSPC|no space left|the disk is full/i.test(error?.message ?? "");
    let wrong = error === undefined
      ? "it did not fail"
      : left.length > 0
      ? `it left ${left}`
      : words
      ? undefined
      : `${error}`;
    rmSync(join(directory, "ballast"));
    const again = await failureOf(write(directory));
    if (again || !existsSync(file(directory))) wrong ??= `with room again: ${again}`;
    tell(wrong && `${kind} with ${room} bytes: ${wrong}`);
  }
}

/** A directory that may not be written to: nothing can be made there, what is there can be used. */
async function readonly(): Promise<void> {
  for (const [kind, { write }] of Object.entries(WRITERS)) {
    const error = await failureOf(write(directory));
    tell(/EROFS|EACCES|read-only|permission/i.test(error?.message ?? "") ? undefined : `${kind}: ${error}`);
  }
  for (const use of [{}, { library: join(directory, basename(library)) }]) {
    const load = Llama.load(join(directory, "model.gguf"), use).then(async (llama) => {
      await llama.embed("read-only");
      await llama.close();
    });
    tell((await failureOf(load))?.message);
  }
}

/** Neither HOME nor a cache named: paths work, and what needs a cache says so. */
async function homeless(): Promise<void> {
  await using llama = await Llama.load(large);
  await llama.embed("no home");
  tell(undefined);
  for (
    const [work, words] of [
      [Llama.load("bge-small-en-v1.5"), /Cannot find model "bge-small-en-v1.5": get it with/],
      [download(NAME, { endpoint: hub.endpoint }), /set the option cache, HF_HUB_CACHE or HOME/],
      [build({ onLine: () => {}, dryRun: true }), /set XDG_CACHE_HOME, HOME/],
    ] as const
  ) {
    const error = await failureOf(work);
    tell(words.test(error?.message ?? "") ? undefined : `${error}`);
  }
}

const LONG = Array.from({ length: 15 }, (_, i) => String(i % 10).repeat(240));
/** Names of directories that a user may have. */
const ODD: readonly string[] = [
  "with spaces  and more ",
  "ünï 模型 👍 e\u0301",
  "new\nline\ttab",
  "100%25 #1 ?a=b&c;d",
  "'quotes\" `and` $HOME \\ *",
  "-dash",
  "file:x",
  "hf:owner",
  "%2e%2e",
  join(...LONG), // 3,614 characters
];

/** Model, library, cache and output at odd paths, as paths and as URLs. */
async function odd(): Promise<void> {
  for (let run = 0; run < Number(runs); run++) {
    const place = join(directory, ODD[run % ODD.length]!);
    tell(await (oddly(place).catch((error) => `${JSON.stringify(place.slice(0, 80))}: ${error}`)));
  }
}

async function oddly(place: string): Promise<string | undefined> {
  mkdirSync(place, { recursive: true });
  const [model, copy] = [join(place, "a model.gguf"), join(place, basename(library))];
  await convert(fixture("tiny_bert"), pathToFileURL(model));
  cpSync(library, copy);
  await quantize(model, join(place, "q8.gguf"), "q8_0", { threads: 1 });
  for (
    const [path, lib] of [[model, copy], [pathToFileURL(model), pathToFileURL(copy)], [pathToFileURL(model).href, copy]]
  ) {
    const llama = await Llama.load(path!, { library: lib! });
    await llama.embed("odd");
    await llama.close();
  }
  const got = await download(NAME, {
    cache: join(place, "hub"),
    endpoint: hub.endpoint,
    token: "",
    onProgress: () => {},
  });
  if (readFileSync(got).length !== 300_000) return "download() gave another file";
  process.chdir(place);
  const llama = await Llama.load("./a model.gguf");
  await llama.close();
  process.chdir("/");
  return undefined;
}

/** A path that no system takes. */
async function endless(): Promise<void> {
  const path = `/${"d/".repeat(2100)}x`;
  const out = join(dirname(directory), "x.gguf");
  const works: (() => Promise<unknown>)[] = [
    () => Llama.load(path),
    () => Llama.load(large, { library: path }),
    () => convert(path, out),
    () => convert(fixture("tiny_bert"), path),
    () => quantize(path, out, "q8_0"),
    () => quantize(large, path, "q8_0"),
    () => download(NAME, { cache: path, endpoint: hub.endpoint, token: "" }),
  ];
  for (const work of works) {
    const error = await failureOf(work());
    const words = `${error?.name} ${error?.message}`;
    tell(
      /too long|ENAMETOOLONG|not a directory|no such|does not exist|cannot/i.test(words)
        ? undefined
        : words.slice(-300),
    );
  }
}

await ({ full, readonly, homeless, odd, endless } as Record<string, () => Promise<void>>)[name]!();
