import { test } from "node:test";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve, sep } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { convert } from "../../convert.ts";
import { candidates } from "../../ffi/open.ts";
import { Llama } from "../../mod.ts";
import { download, ModelNotFoundError, resolveModel } from "../../models.ts";
import { readModel } from "../../src/convert/model.ts";
import { writeGguf } from "../../src/convert/gguf.ts";
import { referencePath, snapshotPath } from "../../src/models/cache.ts";
import { type HubFile, parseHubFile } from "../../src/models/reference.ts";
import { fixture } from "../support/checkpoint.ts";
import { findProgram, ROOT, runChild } from "../support/child.ts";
import { COMMIT, NAME, withHub } from "../support/hub_server.ts";
import { libraryMissing } from "../support/references.ts";

const linux = process.platform === "linux";
const onDeno = "Deno" in globalThis;

async function inTemporary(work: (directory: string) => Promise<void>): Promise<void> {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), "llamasaur-trust-")));
  try {
    await work(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

// Programs by lists of arguments, and no code out of strings.
const FORBIDDEN: readonly [what: string, files: RegExp, words: RegExp][] = [
  ["a shell", /\.ts$/, /\bshell\s*:\s*(?!false)|import \{[^}]*\bexec(Sync)?\b[^}]*\} from "node:child_process"/],
  ["Bun's shell", /\.ts$/, /import \{[^}]*\$[^}]*\} from "bun"|\bBun\.\$/],
  ["code out of a string", /\.ts$/, /\beval\(|\bnew Function\(|\bFunction\(/],
  ["a program from native code", /\.(c|cpp|h)$/, /\b(system|popen|execl[pe]?|execv[pe]*|posix_spawnp?)\s*\(/],
  ["a library from anywhere", /\.(c|cpp|h)$/, /\bggml_backend_load_all\s*\(\s*\)\s*;/],
];

test("no source runs a shell, or code out of a string", () => {
  const folders = ["src", "ffi", "build", "scripts", "bench", "tests/torture", "tests/native", "examples"];
  const files = [
    ...readdirSync(ROOT).filter((name) => name.endsWith(".ts")),
    ...folders.flatMap((folder) =>
      readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" }).map((name) => join(folder, name))
    ),
  ];
  const found = FORBIDDEN.flatMap(([what, names, words]) =>
    files.filter((file) => names.test(file) && words.test(readFileSync(join(ROOT, file), "utf8")))
      .map((file) => `${file} has ${what}`)
  );
  assertEquals(found, []);
  assert(files.length > 100, `${files.length} files`);
});

const HOSTILE_NAMES = [
  "hf:../../x.gguf",
  "hf:o/r/../../../x.gguf",
  "hf:o/r/a/../../x.gguf",
  "hf:o/r//etc/x.gguf",
  "hf:o/r/C:/x.gguf",
  "hf:o/r/a\\..\\x.gguf",
  "hf:o/r/x.gguf@../../main",
  "hf:o/r/x.gguf@/etc",
  "hf:o/r/x\0.gguf",
  "hf:o/r/x\n.gguf",
  "hf:o/../x.gguf",
  "hf:./r/x.gguf",
  "hf:o/r/./x.gguf",
  "hf:o/r/x .gguf@a./b",
  "hf:C:/r/x.gguf",
];

test("no hf: name leads out of the cache", () => {
  const inside = (file: HubFile): void => {
    const cache = resolve("/cache");
    for (const path of [snapshotPath(cache, file, COMMIT), referencePath(cache, file)]) {
      const folder = join(cache, `models--${file.repository.replace("/", "--")}`) + sep;
      assert(resolve(path).startsWith(folder) && resolve(path) === path, path);
      assert(!path.includes("\0"), path);
    }
  };
  for (const name of HOSTILE_NAMES) assertThrows(() => parseHubFile(name), RangeError, "it must be hf:");
  inside(parseHubFile("hf:o/r/%2e%2e/...x/a b.gguf@refs/pr/1")); // odd, and only names
  const piece = fc.oneof(
    fc.string({ unit: "binary", maxLength: 6 }),
    fc.constantFrom("..", ".", "/", "\\", "@", "~", "C:", "a"),
  );
  const drawn = fc.array(piece, { maxLength: 8 }).map((pieces) =>
    `hf:o/r/${pieces.join("")}.gguf${pieces.toReversed().join("")}`
  );
  let taken = 0;
  fc.assert(
    fc.property(drawn, (name) => {
      let file: HubFile;
      try {
        file = parseHubFile(name);
      } catch (error) {
        assert(error instanceof RangeError, String(error));
        return;
      }
      taken++;
      inside(file);
    }),
    { seed: 1, numRuns: 2000 },
  );
  assert(taken > 20, `${taken} of the names were taken`);
});

test("resolveModel() finds no model by what an object inherits", () => {
  for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty", "valueOf"]) {
    assertThrows(() => resolveModel(name), ModelNotFoundError, "the catalogue has no such name");
  }
});

test("download() follows no redirect to a file, to data, or out of TLS", async () => {
  await inTemporary(async (directory) => {
    for (
      const [endpoint, location, words] of [
        ["http://hub.test", "file:///etc/passwd", /it redirects to file:, only https: and http: are followed$/],
        ["http://hub.test", "data:text/plain,GGUF", /it redirects to data:, only/],
        [
          "https://hub.test",
          "http://hub.test/x?signature=abc",
          /it redirects to http:\/\/hub.test, only https: are followed$/,
        ],
      ] as const
    ) {
      const asked: string[] = [];
      const fetch = ((url: string) => {
        asked.push(url);
        return Promise.resolve(new Response(null, { status: 302, headers: { location } }));
      }) as typeof globalThis.fetch;
      const options = { endpoint, cache: directory, token: "secret", offline: false, fetch };
      const { message } = await assertRejects(() => download(NAME, options), Error);
      assertMatch(message, words);
      assertEquals(asked.length, 1);
    }
  });
});

test("download() shows no token, no password and no signature of a storage", async () => {
  await inTemporary(async (cache) => {
    for (
      const options of [
        { token: "hf_secret\nx" },
        { token: "hf_secret€" },
        { token: "hf_secret\0" },
        { token: { toString: () => "hf_secret" } as unknown as string },
        { endpoint: "https://user:hf_secret@hub.test" },
      ]
    ) {
      const error = await assertRejects(
        () => download(NAME, { cache, offline: true, ...options }),
        Error,
        "Cannot read",
      );
      assert(!`${error.stack} ${error.cause}`.includes("hf_secret"), error.message);
    }
  });
  await withHub(async (hub, _, get) => {
    hub.onHub = (request, response, body) => {
      if (request.method === "HEAD") return false;
      response.writeHead(302, { location: `${hub.storage}/owner/repo/model.gguf?Signature=hf_secret` }).end();
      return body.length > 0;
    };
    hub.onStorage = (_, response) => (response.writeHead(403).end(), true);
    const { message } = await assertRejects(() => get(), Error, "answers 403");
    assert(!message.includes("Signature"), message);
  });
});

const ECHOED = "hf_Echoed-9";
const ECHOES: [what: string, form: (sent: string) => string][] = [
  ["as it is", (sent) => sent],
  ["in capitals", (sent) => sent.toUpperCase()],
  ["encoded for a URL", (sent) => Array.from(sent, (c) => `%${c.charCodeAt(0).toString(16)}`).join("")],
  ["encoded twice", (sent) => Array.from(sent, (c) => `%25${c.charCodeAt(0).toString(16)}`).join("")],
  ["among 9,000 letters", (sent) => "E".repeat(4500) + sent + "E".repeat(4500)],
  ["behind a terminal's escape", (sent) => `\u009b2J${sent}\u0085`],
];

test("download() shows no token that a hub or a proxy repeats, wherever and however", async () => {
  const found: string[] = [];
  for (const [how, form] of ECHOES) {
    for (const status of [301, 302, 401, 403, 404, 418, 429, 500]) {
      await withHub(async (hub) => {
        hub.onHub = (request, response) => {
          const said = form(request.headers.authorization?.slice("Bearer ".length) ?? ECHOED);
          const url = encodeURI(said).replaceAll("%25", "%");
          const location = status === 301
            ? `http://127.0.0.1:1/${url}/x?${url}`
            : `http://${url.slice(0, 60)}.invalid/${url}`;
          // by hand: node:http refuses what a hostile server sends
          const head = `HTTP/1.1 ${status} ${said}\r\nx-error-code: ${said}\r\n`;
          response.socket!.end(`${head}location: ${location}\r\ncontent-length: 0\r\n\r\n`, "latin1");
          return true;
        };
        const options = { endpoint: hub.endpoint, token: ECHOED, cache: "unused", offline: false };
        const error = await download(NAME, options).then(() => undefined, (error) => error as Error);
        const words = `${error?.message} ${error?.stack} ${error?.cause}`;
        if (!error) found.push(`${status}, ${how}: no error`);
        if (words.toLowerCase().includes(ECHOED.toLowerCase())) found.push(`${status}, ${how}: the token`);
        if ((error?.message.length ?? 0) > 1200) found.push(`${status}, ${how}: ${error!.message.length} letters`);
        if (/[\p{Cc}\p{Cf}]/u.test(error?.message ?? "")) found.push(`${status}, ${how}: what cannot be printed`);
      });
    }
  }
  assertEquals(found, []);
});

test("download() checks git's own digest of a file that has no sha256", { skip: !findProgram("git") }, async () => {
  for (const [digest, right] of [["eed2d8b8bd6a5f3c7b1d2ea4a1d1b3d6a5d0a9a0", false], ["", true]] as const) {
    await withHub(async (hub, _, get) => {
      const bytes = hub.files.get("owner/repo/model.gguf")!;
      const git = execFileSync("git", ["hash-object", "--stdin", "--no-filters"], { input: bytes }).toString().trim();
      const headers = { "x-repo-commit": COMMIT, "etag": `"${digest || git}"`, "content-length": bytes.length };
      hub.onHub = (
        request,
        response,
      ) => (response.writeHead(200, headers).end(request.method === "GET" ? bytes : undefined), true);
      if (right) assertEquals(readFileSync(await get()).length, bytes.length);
      else await assertRejects(() => get(), Error, `its git id is ${git} instead of ${digest}`);
    });
  }
});

test("rerank() takes a template of the file for text, whatever it says", { skip: libraryMissing }, async () => {
  await inTemporary(async (directory) => {
    const { metadata, tensors } = await readModel(fixture("tiny_cross_encoder"), { name: "hostile" });
    const pwned = join(directory, "pwned");
    const jinja = `{% for i in range(10**9) %}{{ cycler.__init__.__globals__.os.system("touch ${pwned}") }}` +
      "${process.exit(9)} {{7*7}} {% include '/etc/passwd' %} {query} and {document} `${1}` {% endfor %}";
    const model = join(directory, "hostile.gguf");
    await writeGguf(model, new Map([...metadata, ["tokenizer.chat_template.rerank", { string: jinja }]]), tensors);
    await using llama = await Llama.load(model);
    const ranked = await llama.rerank("{document}", ["a", "{query} {{7*7}}"], { truncate: "end" }).catch((error) =>
      error
    );
    assert(ranked instanceof RangeError || ranked.length === 2, String(ranked)); // a long template leaves no room
    assert(!existsSync(pwned));
  });
});

test(
  "a library in the working directory is not loaded, whatever its name",
  { skip: !linux || libraryMissing },
  async () => {
    await inTemporary(async (directory) => {
      const mark = join(directory, "loaded");
      const c =
        `#include <stdio.h>\n__attribute__((constructor)) static void loaded(void) { fclose(fopen("${mark}", "w")); }`;
      const names = [
        "ggml-cpu",
        "ggml-cpu-x64",
        "ggml-cuda",
        "ggml-vulkan",
        "ggml-blas",
        "ggml",
        "ggml-base",
        "llama",
        "llamasaur",
      ];
      for (const name of names) {
        execFileSync("cc", ["-shared", "-fPIC", "-x", "c", "-", "-o", join(directory, `lib${name}.so`)], { input: c });
      }
      await convert(fixture("tiny_bert"), join(directory, "tiny.gguf"));
      const library = candidates().find(({ path, skipped }) => !skipped && existsSync(path))!.path;
      const worker = fileURLToPath(new URL("backends_worker.ts", import.meta.url));
      const run = onDeno ? ["run", "--quiet", "--no-prompt", `--allow-ffi=${library}`] : [];
      const args = [...run, worker, library, join(directory, "tiny.gguf")];
      const { code, stdout, stderr } = await runChild(process.execPath, args, { cwd: directory, timeout: 60_000 });
      assertEquals([code, JSON.parse(stdout).device], [0, "CPU"], stderr);
      assert(!existsSync(mark));
      // and it would have been, if it had been opened
      await runChild(process.execPath, [
        ...(onDeno ? ["run", "--quiet", "-A"] : []),
        worker,
        join(directory, "libggml-cpu.so"),
        "x",
      ]);
      assert(existsSync(mark));
    });
  },
);
