/** Getting the bytes of a file, in as many attempts as it takes, and making sure that they are the right ones. */
import { type FileHandle, open, rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { HubUnavailableError, LlamaError } from "../../../ffi/errors.ts";
import { writing } from "../../files.ts";
import { type Hash, hashLike } from "../digest.ts";
import type { HubFile } from "../reference.ts";
import { type Hub, orAborted, reasonOf, request, shownUrl } from "./client.ts";

/** A file that is to be got, and what it must be. */
export interface Transfer {
  readonly file: HubFile;
  readonly url: string;
  readonly size: number;
  /** In hex: the sha256, or of 40 digits git's sha1 (`git hash-object`). */
  readonly digest: string;
  /** Where the bytes go; what is there already is the beginning. */
  readonly path: string;
}

/** What a caller wants to know, and how it stops the work. */
export interface Watch {
  readonly signal?: AbortSignal | undefined;
  /** Told how many bytes there are. */
  readonly onBytes?: ((done: number) => void) | undefined;
}

const MAGIC = "GGUF";

/**
 * Gets a file, going on where an earlier attempt (of this process or another) broke off.
 *
 * @throws {HubUnavailableError} when it breaks off again and again; what has come stays, for later.
 * @throws {LlamaError} `model-invalid` when other bytes came than the hub promised; then nothing stays.
 */
export async function transfer(hub: Hub, wanted: Transfer, watch: Watch): Promise<void> {
  const handle = await writing(wanted.path, async () => {
    await (await open(wanted.path, "a+")).close();
    return await open(wanted.path, "r+"); // "a" would write at the end, wherever it is told to
  });
  try {
    let failures = 0;
    for (let done = (await handle.stat()).size;;) {
      try {
        await attempt(hub, wanted, handle, watch);
        return await writing(wanted.path, () => handle.sync());
      } catch (error) {
        if (!(error instanceof HubUnavailableError)) throw error;
        const { size } = await handle.stat();
        failures = size > done ? 1 : failures + 1;
        done = size;
        if (failures >= hub.times.attempts) throw error;
        await sleep(hub.times.pause * 2 ** (failures - 1), undefined, watch.signal ? { signal: watch.signal } : {});
      }
    }
  } catch (error) {
    const useless = error instanceof OtherBytes || (await handle.stat()).size === 0;
    if (useless) await rm(wanted.path, { force: true });
    watch.signal?.throwIfAborted(); // as its reason, whatever became of the connection
    throw error;
  } finally {
    await handle.close();
  }
}

async function attempt(hub: Hub, wanted: Transfer, handle: FileHandle, watch: Watch): Promise<void> {
  const { size, file } = wanted;
  const url = shownUrl(hub, wanted.url);
  let done = (await handle.stat()).size;
  if (done > size) await handle.truncate(done = 0);
  let hash = await hashOf(wanted, handle, done, watch.signal);
  const resumed = done > 0;
  if (done < size) {
    const stalled = new AbortController();
    const signals = watch.signal ? [watch.signal, stalled.signal] : [stalled.signal];
    const signal = AbortSignal.any(signals);
    const { response } = await request(
      hub,
      file,
      wanted.url,
      resumed ? { range: `bytes=${done}-`, signal } : { signal },
    );
    if (resumed && !isRest(response, done)) {
      hash = hashLike(wanted.digest, wanted.size);
      await handle.truncate(done = 0);
    }
    try {
      if (response.status === 416) throw new HubUnavailableError(`Cannot get ${url}: the hub answers 416`);
      for await (const chunk of chunksOf(hub, wanted.url, response, stalled, signal)) {
        if (done + chunk.length > size) throw invalid(url, `more than the ${size} bytes came that were promised`);
        for (let at = 0; at < chunk.length;) {
          const write = () => handle.write(chunk, at, chunk.length - at, done + at);
          at += (await writing(wanted.path, write)).bytesWritten;
        }
        hash.update(chunk);
        if (done < MAGIC.length) await checkMagic(hub, wanted, handle, done + chunk.length);
        done += chunk.length;
        watch.onBytes?.(done);
      }
    } finally {
      stalled.abort();
    }
  }
  if (done < size) throw new HubUnavailableError(`Cannot get ${url}: it broke off after ${done} of ${size} bytes`);
  await checkMagic(hub, wanted, handle, done);
  const found = hash.digest("hex");
  if (found === wanted.digest) return;
  const words = `its ${isSha256(wanted) ? "sha256" : "git id"} is ${found} instead of ${wanted.digest}`;
  if (!resumed) throw invalid(url, words);
  await handle.truncate(0); // what was there before may have been wrong
  throw new HubUnavailableError(`Cannot use ${url}: ${words}`);
}

function isSha256({ digest }: Transfer): boolean {
  return digest.length === 64;
}

/** Whether an answer goes on at this byte; a server without ranges sends the whole. */
function isRest(response: Response, from: number): boolean {
  return response.status === 206 && response.headers.get("content-range")?.startsWith(`bytes ${from}-`) === true;
}

async function* chunksOf(
  hub: Hub,
  url: string,
  response: Response,
  stalled: AbortController,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const patience = hub.times.stalled;
  const late = new Error(`nothing came for ${patience / 1000} s`);
  if (response.body === null) return;
  const body = response.body[Symbol.asyncIterator]();
  let timer = setTimeout(() => stalled.abort(late), patience);
  try {
    for (;;) {
      const { value, done } = await orAborted(signal, body.next());
      if (done) return;
      yield value;
      clearTimeout(timer);
      timer = setTimeout(() => stalled.abort(late), patience);
    }
  } catch (error) {
    const from = shownUrl(hub, response.url || url); // of what fetch was told to follow, the last
    throw new HubUnavailableError(`Cannot get ${from}: it broke off (${reasonOf(hub, error)})`);
  } finally {
    clearTimeout(timer);
    void body.return?.().catch(() => {}); // not awaited: a caller's body may never end
  }
}

async function hashOf(
  wanted: Transfer,
  handle: FileHandle,
  length: number,
  signal: AbortSignal | undefined,
): Promise<Hash> {
  const hash = hashLike(wanted.digest, wanted.size);
  const buffer = new Uint8Array(1 << 20);
  for (let at = 0; at < length;) {
    signal?.throwIfAborted();
    const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.length, length - at), at);
    if (bytesRead === 0) break;
    hash.update(buffer.subarray(0, bytesRead));
    at += bytesRead;
  }
  return hash;
}

/** Looks at a model's first bytes as soon as they are there: a proxy's page is not worth the rest. Of all of them none may lack. */
async function checkMagic(hub: Hub, { file, url, size }: Transfer, handle: FileHandle, length: number): Promise<void> {
  if (!/\.gguf$/i.test(file.path)) return;
  const start = new Uint8Array(MAGIC.length);
  await handle.read(start, 0, Math.min(length, start.length), 0);
  const found = new TextDecoder().decode(start.subarray(0, length));
  if (length < MAGIC.length && length < size ? !MAGIC.startsWith(found) : found !== MAGIC) {
    throw invalid(
      shownUrl(hub, url),
      `it begins with ${JSON.stringify(found)} instead of "${MAGIC}", so that it is no GGUF file`,
    );
  }
}

/** Other bytes came than were promised: they are of no use for a later attempt. */
class OtherBytes extends LlamaError {}

function invalid(url: string, reason: string): OtherBytes {
  return new OtherBytes("model-invalid", `Cannot use ${url}: ${reason}`);
}
