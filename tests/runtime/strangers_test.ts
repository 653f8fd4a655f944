// What people who did not know the insides broke once, by the input that broke it: one small test each, of the whole product.
// The kinds that they stand for have tests of their own, with other inputs.
import { Buffer } from "node:buffer";
import { after, before, test } from "node:test";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { Llama, LlamaError, type LoadOptions } from "../../mod.ts";
import { download } from "../../models.ts";
import { fixture } from "../support/checkpoint.ts";
import { NAME, withHub } from "../support/hub_server.ts";
import { cannotLoad, libraryMissing, modelPath } from "../support/references.ts";
import { copy, type Gguf, parse, serialise, setKey, type Value, value } from "../torture/gguf.ts";
import { withTokens } from "../torture/hostile.ts";
import { serialiseParts, split, writeModel } from "../torture/split.ts";
import { type Base, readBase, writeBases } from "../torture/tiny_models.ts";

const skip = libraryMissing;
const MINILM = "all-minilm-l6-v2-q8_0.gguf";
const SMALL = fixture("families/modern_bert.gguf");

let directory = "";
before(async () => {
  directory = mkdtempSync(join(tmpdir(), "llamasaur-"));
  if (!libraryMissing) await writeBases(directory);
});
after(() => rmSync(directory, { recursive: true }));

const base = (name: Base): Gguf => parse(readBase(directory, name));
const utf8 = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

function write(gguf: Gguf): string {
  const path = join(directory, "one.gguf");
  writeFileSync(path, serialise(gguf));
  return path;
}

/** A file that begins with one more key. */
function withFirst(gguf: Gguf, key: string, one: Value): Gguf {
  const next = copy(gguf);
  next.entries.unshift({ key: new TextEncoder().encode(key), value: one });
  next.entryCount++;
  return next;
}

async function assertInvalid(path: string, words: RegExp): Promise<void> {
  const error = await assertRejects(() => Llama.load(path, { pooling: "mean" }), LlamaError);
  assertEquals(error.code, "model-invalid", error.message);
  assertMatch(error.message, words);
}

/** A source that gives one text and is silent then, for longer than any test. */
async function* silent(left: AbortSignal): AsyncGenerator<string, void, undefined> {
  yield "the first of a queue";
  await sleep(600_000, undefined, { signal: left }).catch(() => {});
}

test("embedStream() hears an abort, and a break, while its source is silent", { skip }, async () => {
  const end = new AbortController(); // of the source's timer, which would keep the runtime alive
  await using llama = await Llama.load(SMALL);
  const controller = new AbortController();
  const reason = new Error("nobody listens any more");
  let seen = 0;
  const aborted = await assertRejects(async () => {
    for await (const _ of llama.embedStream(silent(end.signal), { signal: controller.signal })) {
      seen++;
      setTimeout(() => controller.abort(reason), 20);
    }
  });
  assertEquals([aborted, seen], [reason, 1]);
  for await (const _ of llama.embedStream(silent(end.signal))) break;
  end.abort();
});

test("embedStream() gives every vector before a row that is no text", { skip }, async () => {
  await using llama = await Llama.load(SMALL);
  for (const [count, bad] of [[4, 2], [700, 600]] as const) {
    const rows = function* (): Generator<string, void, undefined> {
      for (let i = 0; i < count; i++) yield i === bad ? JSON.parse("null") : `line ${i}`;
    };
    let seen = 0;
    const read = async (): Promise<void> => {
      for await (const _ of llama.embedStream(rows())) seen++;
    };
    const error = await assertRejects(read, TypeError);
    assertEquals(seen, bad);
    assertMatch(error.message, new RegExp(`texts\\[${bad}\\]`));
  }
});

test("tokenize() of blocks, symbols of private use, new punctuation and new marks is BERT's own", {
  skip: cannotLoad(MINILM),
}, async () => {
  await using llama = await Llama.load(modelPath(MINILM), { contexts: 1 });
  const word = "a1b2".repeat(25); // the longest that is taken apart
  const plain = await llama.tokenize(word);
  const unknown = [101, 100, 102];
  const expected: [text: string, ids: Iterable<number>][] = [
    ["snake\u2581case\u2581name", unknown],
    ["un\u2581believable", unknown],
    ["\u2581the", unknown],
    ["loss\u2581curve of the model", [101, 100, 1997, 1996, 2944, 102]],
    ["\uf041\uf0b7\ue0b0".repeat(50), [101, 102]],
    [`\uf0b7${word}`, plain],
    ...[0x061d, 0x2e43, 0x2e5d, 0x0c77, 0x1acf, 0x1e4ec, 0x07fd].map((code): [string, number[]] => [
      `a${String.fromCodePoint(code)}b`,
      unknown,
    ]),
  ];
  for (const [text, ids] of expected) assertEquals([...await llama.tokenize(text)], [...ids], JSON.stringify(text));
});

const BARE: [family: string, options: LoadOptions][] = [
  ["qwen3_last", { addEos: false }],
  ["embedding_gemma", { addBos: false, addEos: false }],
  ["modern_bert", { addBos: false, addEos: false, addSep: false }],
  ["xlm_roberta_reranker", { addBos: false, addEos: false }],
];

test("a first text of no tokens is refused by its name, as a later one is", { skip }, async () => {
  for (const [family, options] of BARE) {
    await using llama = await Llama.load(fixture(`families/${family}.gguf`), options);
    if (llama.info.reranker === "cosine") {
      for (const list of [[""], ["", "a"], ["a", ""]]) {
        const error = await assertRejects(() => llama.embed(list), RangeError);
        assertMatch(error.message, new RegExp(`input\\[${list.indexOf("")}\\]: it is empty`));
      }
      await assertRejects(() => llama.embed(""), RangeError, "it is empty");
      await assertRejects(() => llama.rerank("q", [""]), RangeError, "documents[0]");
    } else assertEquals((await llama.rerank("q", [""])).length, 1);
  }
});

test("fingerprint() and estimateMemory() of a closed model are a closed error", { skip }, async () => {
  const llama = await Llama.load(SMALL);
  await llama.close();
  for (let i = 0; i < 5; i++) await (await Llama.load(SMALL)).close(); // they take its memory
  const closed = (error: unknown): unknown => (error as LlamaError).code;
  assertEquals(await Promise.resolve().then(() => llama.fingerprint()).catch(closed), "closed");
  const other = await Llama.load(SMALL);
  let closing: Promise<void> | undefined;
  const lengths = new Proxy([1, 500], {
    get(target, key, receiver) {
      if (key === "1") closing ??= other.close();
      return Reflect.get(target, key, receiver);
    },
  });
  const found = await other.estimateMemory(lengths).catch(closed);
  assert(found === "closed" || typeof found === "object", String(found));
  await closing;
});

test("a fingerprint changes with some weights of a layer, and with two tokens that change places", {
  skip: cannotLoad(MINILM),
}, async () => {
  const path = join(directory, "large.gguf");
  const print = async (file: Uint8Array): Promise<string> => {
    writeFileSync(path, file);
    await using llama = await Llama.load(path, { contexts: 1 });
    return llama.fingerprint();
  };
  const file = readFileSync(modelPath(MINILM));
  const weights = Buffer.from(file);
  const inside = 200 * Math.floor(file.length / 256) + 50_000; // of a layer, between blocks that were once all that counted
  weights.fill(0x11, inside, inside + 400);
  const tokens = Buffer.from(file);
  const [hello, world] = ["hello", "world"].map((word) => Buffer.from(`\x08\0\0\0\0\0\0\0\u2581${word}`));
  const places = [file.indexOf(hello!), file.indexOf(world!)] as const;
  assert(places[0] > 0 && places[1] > 0);
  tokens.set(world!, places[0]);
  tokens.set(hello!, places[1]);
  const prints = [await print(file), await print(weights), await print(tokens)];
  assertEquals(new Set(prints).size, 3, `${prints}`);
  assertEquals(await print(file), prints[0]);
});

test("Llama.load() aborted in its last onProgress, or in onLog, rejects with the reason", { skip }, async () => {
  for (const where of ["onProgress", "onLog"]) {
    const controller = new AbortController();
    const reason = new Error("mine");
    let called = false;
    const abort = (): void => {
      called = true;
      controller.abort(reason);
    };
    const loading = Llama.load(SMALL, {
      signal: controller.signal,
      onProgress: (part) => void (where === "onProgress" && part === 1 && abort()),
      onLog: () => void (where === "onLog" && abort()),
    });
    assertEquals([await loading.then((llama) => llama.close(), (error) => error), called], [reason, true], where);
  }
});

test("a byte 0 in the architecture hides no wrong number and no missing tensor", { skip }, async () => {
  const hidden = (name: Base, architecture: string, change: (gguf: Gguf) => Gguf): Gguf =>
    setKey(change(base(name)), "general.architecture", value.string(architecture));
  const words = /general\.architecture' has a text with a byte 0/;
  const heads = hidden(
    "modern",
    "modern-bert\0",
    (gguf) => setKey(gguf, "modern-bert.attention.head_count", value.u32(0)),
  );
  const rope = hidden(
    "nomic",
    "nomic-bert\0y",
    (gguf) => setKey(gguf, "nomic-bert.rope.dimension_count", value.u32(0)),
  );
  const t5 = hidden("t5", "t5encoder\0x", withoutBias);
  for (const gguf of [heads, rope, t5]) await assertInvalid(write(gguf), words);
});

/** T5 without the positions of its attention. */
function withoutBias(gguf: Gguf): Gguf {
  const tensors = gguf.tensors.filter(({ name }) => !/attn_rel_b/.test(utf8(name)));
  return { ...gguf, tensors, tensorCount: BigInt(tensors.length) };
}

test("a byte 0 in a key hides no wrong number behind it", { skip }, async () => {
  for (
    const [name, key] of [
      ["lfm2", "lfm2.rope.dimension_count\0"],
      ["modern", "modern-bert.attention.head_count\0"],
      ["modern", "modern-bert.attention.head_count_kv\0z"],
      ["modern", "modern-bert.rope.dimension_count\0"],
      ["moe", "nomic-bert-moe.rope.dimension_count\0"],
      ["nomic", "nomic-bert.rope.dimension_count\0"],
    ] as const
  ) await assertInvalid(write(withFirst(base(name), key, value.u32(0))), /has a name with a byte 0/);
});

test("Llama.load() refuses RWKV vocabularies that make no progress, whatever the architecture", { skip }, async () => {
  for (const name of ["jina", "llama", "nomic"] as const) {
    const gguf = setKey(base(name), "tokenizer.ggml.model", value.string("rwkv"));
    const tokens = withTokens(gguf, (all) => all.map((_, i) => `zz${String(i).padStart(3, "0")}`));
    await assertInvalid(write(tokens), /begin with the byte 0x7a and none for it alone/);
  }
});

test("a T5 in two parts is refused for a tensor that neither has", { skip }, async () => {
  const whole = withoutBias(base("t5"));
  for (const cut of [3, 7]) {
    const [first] = writeModel(join(directory, `t5-${cut}`), serialiseParts(split(whole, [cut])));
    await assertInvalid(first!, /attn_rel_b.weight' is missing/);
  }
});

test("a reranker whose head is in its second part ranks as the same model in one file", { skip }, async () => {
  const path = fixture("families/xlm_roberta_reranker.gguf");
  const parts = split(parse(new Uint8Array(readFileSync(path))), [4]);
  const said = async (file: string): Promise<unknown> => {
    await using llama = await Llama.load(file, { contexts: 1 });
    return [llama.info.reranker, llama.info.exact, await llama.rerank("a b", ["c", "d e"])];
  };
  assertEquals(await said(writeModel(join(directory, "parts"), serialiseParts(parts))[0]!), await said(path));
});

test("rerank() takes the token rows that were in the file when it was loaded", { skip }, async () => {
  const path = write(base("rerank"));
  const bytes = serialise(base("rerank"));
  const rows = base("rerank").tensors.find(({ name }) => utf8(name) === "token_embd.weight")!;
  const at = bytes.length - Number(base("rerank").tensors.reduce((sum, { data }) => sum + data.length, 0)) +
    Number(rows.offset);
  await using first = await Llama.load(path, { contexts: 1 });
  await using second = await Llama.load(path, { contexts: 1 });
  const right = await first.rerank("hello", ["a cat", "hello world"]);
  const file = openSync(path, "r+");
  writeSync(file, new Uint8Array(new Float32Array(rows.data.length / 4).fill(0.5).buffer), 0, rows.data.length, at);
  closeSync(file);
  assertEquals(await second.rerank("hello", ["a cat", "hello world"]), right);
});

const TOKEN = "hf_never-to-be-seen";
const ANSWERS: [what: string, head: (sent: string, origin: string) => string][] = [
  ["the token in x-error-code", (sent) => `404 Not Found\r\nx-error-code: ${sent}`],
  ["the token as its reason", (sent) => `403 ${sent}`],
  ["the token in a redirect's path", (sent, origin) => `302 Found\r\nlocation: ${origin}/${encodeURIComponent(sent)}`],
  ["8,000 letters", () => `401 Unauthorized\r\nx-error-code: ${"E".repeat(8000)}`],
  ["a terminal's control character", () => "404 Not\r\nx-error-code: \u009b2Jgone"],
];

test("download() tells bounded and printable what a hub says, without the token", async () => {
  for (const [what, head] of ANSWERS) {
    await withHub(async (hub) => {
      hub.onStorage = (_, response) => (response.writeHead(403).end(), true);
      hub.onHub = (request, response) => {
        const said = head(request.headers.authorization ?? "none", hub.storage);
        response.socket!.end(`HTTP/1.1 ${said}\r\ncontent-length: 0\r\n\r\n`, "latin1");
        return true;
      };
      const options = { endpoint: hub.endpoint, token: TOKEN, cache: join(directory, "cache"), offline: false };
      const { message } = await assertRejects(() => download(NAME, options), Error);
      assert(!message.includes(TOKEN), `${what}: ${message}`);
      assert(message.length <= 600, `${what}: ${message.length} letters`);
      assert(!/\p{Cc}/u.test(message), `${what}: ${JSON.stringify(message)}`);
    });
  }
});
