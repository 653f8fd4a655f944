// Getting one file from the model hub. Small on purpose: resuming, revisions and Python's cache are src/models' business, later.
import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import process from "node:process";
import { replaceFile } from "../../src/convert/replace.ts";

/** Where the hub is and how long to wait for it. */
export interface Hub {
  readonly endpoint: string;
  readonly token: string | undefined;
  /** Milliseconds until an answer begins. */
  readonly patience: number;
}

export interface HubFile {
  readonly repository: string;
  readonly path: string;
  /** What the file must hash to; without it, what the hub says it hashes to. */
  readonly sha256?: string;
  /** What the file must begin with. */
  readonly magic?: string;
}

/** The hub gave no answer: there is no network, or it does not reach that far. */
export class HubUnreachableError extends Error {
  override readonly name = "HubUnreachableError";
}

/** Milliseconds without a byte after which a transfer has failed. */
const STALLED_AFTER = 30_000;
const MAX_REDIRECTS = 5;

/** The hub that HF_ENDPOINT and HF_TOKEN name, as Python's huggingface_hub reads them. */
export function hubOfEnvironment(): Hub {
  const endpoint = (process.env["HF_ENDPOINT"] || "https://huggingface.co").replace(/\/+$/, "");
  return { endpoint, token: process.env["HF_TOKEN"] || undefined, patience: 5_000 };
}

/**
 * Downloads a file, which appears under its name only when it is whole and is what it should be.
 *
 * @param onProgress Told the bytes there are and, if the hub says, how many there will be.
 * @throws {HubUnreachableError} If nothing answers in time.
 */
export async function fetchFile(
  hub: Hub,
  file: HubFile,
  out: string,
  onProgress: (done: number, total: number | undefined) => void = () => {},
): Promise<void> {
  const url = `${hub.endpoint}/${file.repository}/resolve/main/${file.path}`;
  const { response, size, sha256, abort } = await request(hub, url);
  await replaceFile(out, async (temporary) => {
    const handle = await open(temporary, "wx");
    const hash = createHash("sha256");
    let done = 0;
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      let start = new Uint8Array();
      for await (const chunk of response.body!) {
        clearTimeout(timer);
        timer = setTimeout(() => abort.abort(new Error(`nothing came for ${STALLED_AFTER / 1000} s`)), STALLED_AFTER);
        const magic = file.magic?.length ?? 0;
        if (start.length < magic) {
          start = new Uint8Array([...start, ...chunk.subarray(0, magic - start.length)]);
          if (start.length === magic) checkMagic(url, file.magic!, start);
        }
        hash.update(chunk);
        for (let at = 0; at < chunk.length;) at += (await handle.write(chunk, at)).bytesWritten;
        done += chunk.length;
        onProgress(done, size);
      }
    } catch (error) {
      if ((error as Error).message.startsWith("Cannot ")) throw error;
      throw new Error(`Cannot get ${url}: it broke off after ${done} bytes (${(error as Error).message})`, {
        cause: error,
      });
    } finally {
      clearTimeout(timer);
      abort.abort();
      await handle.close();
    }
    if (size !== undefined && done !== size) {
      throw new Error(`Cannot use ${url}: ${done} bytes came instead of ${size}`);
    }
    if (file.magic && done < file.magic.length) throw new Error(`Cannot use ${url}: only ${done} bytes came`);
    const digest = hash.digest("hex");
    const expected = file.sha256 ?? sha256;
    if (expected !== undefined && digest !== expected) {
      throw new Error(`Cannot use ${url}: its sha256 is ${digest} instead of ${expected}`);
    }
  });
}

interface Answer {
  readonly response: Response;
  readonly size: number | undefined;
  readonly sha256: string | undefined;
  readonly abort: AbortController;
}

/** Follows redirects by hand: the hub tells size and digest with the first, and the token is for the hub alone. */
async function request(hub: Hub, url: string): Promise<Answer> {
  const abort = new AbortController();
  let size: number | undefined;
  let sha256: string | undefined;
  let at = url;
  for (let i = 0; i <= MAX_REDIRECTS; i++) {
    const headers: Record<string, string> = { "accept-encoding": "identity" };
    if (hub.token && new URL(at).origin === new URL(hub.endpoint).origin) {
      headers["authorization"] = `Bearer ${hub.token}`;
    }
    const timer = setTimeout(() => abort.abort(new Error(`no answer within ${hub.patience / 1000} s`)), hub.patience);
    let response: Response;
    try {
      response = await fetch(at, { redirect: "manual", headers, signal: abort.signal });
    } catch (error) {
      throw new HubUnreachableError(`Cannot reach the model hub at ${new URL(at).origin}: ${reasonOf(error)}`, {
        cause: error,
      });
    } finally {
      clearTimeout(timer);
    }
    size ??= numberIn(response.headers.get("x-linked-size"));
    const etag = response.headers.get("x-linked-etag")?.replaceAll('"', "") ?? "";
    if (/^[0-9a-f]{64}$/.test(etag)) sha256 ??= etag;
    const location = response.headers.get("location");
    if (response.ok) return { response, size: size ?? numberIn(response.headers.get("content-length")), sha256, abort };
    await response.body?.cancel();
    if (response.status < 300 || response.status >= 400 || location === null) {
      const remedy = [401, 403].includes(response.status) ? "; set HF_TOKEN to one of yours that may read it" : "";
      throw new Error(`Cannot get ${at}: the hub answers ${response.status} ${response.statusText}`.trim() + remedy);
    }
    at = new URL(location, at).href;
  }
  throw new Error(`Cannot get ${url}: it redirects more than ${MAX_REDIRECTS} times`);
}

function checkMagic(url: string, magic: string, start: Uint8Array): void {
  const found = new TextDecoder().decode(start);
  if (found !== magic) {
    throw new Error(`Cannot use ${url}: it begins with ${JSON.stringify(found)} instead of "${magic}"`);
  }
}

function numberIn(text: string | null): number | undefined {
  return text !== null && /^\d+$/.test(text) ? Number(text) : undefined;
}

/** One line, of the innermost cause: what is outside says only "fetch failed". */
function reasonOf(error: unknown): string {
  let at = error as Error;
  while (at.cause instanceof Error) at = at.cause;
  return at.message.split("\n")[0]!.replace(/^error sending request for url \(.*?\): /, "");
}
