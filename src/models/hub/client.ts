/** Asking the model hub: which file is meant, and its bytes. */
import { HubUnavailableError, ModelNotFoundError } from "../../../ffi/errors.ts";
import { LONGEST_QUOTE, printable } from "../../../ffi/host/printable.ts";
import { COMMIT } from "../cache.ts";
import { type HubFile, showHubFile } from "../reference.ts";

/** Where the hub is and how it is asked. */
export interface Hub {
  readonly endpoint: string;
  readonly token: string | undefined;
  readonly fetch: typeof fetch;
  readonly times: HubTimes;
}

/** How long things may take, in milliseconds; tests use shorter ones. */
export interface HubTimes {
  /** Until an answer begins. */
  readonly answer: number;
  /** Without a byte, until a transfer has failed. */
  readonly stalled: number;
  /** Before the first new attempt; twice as long before each further one. */
  readonly pause: number;
  /** Attempts that bring no byte, until it is given up. */
  readonly attempts: number;
}

/** Times for a hub at the end of a slow line. */
export const HUB_TIMES: HubTimes = { answer: 20_000, stalled: 30_000, pause: 1_000, attempts: 4 };

/** What the hub says of a file before its bytes. */
export interface HubAnswer {
  /** The commit that the revision means now. */
  readonly commit: string;
  /** What the bytes are called and must hash to: their sha256, or git's sha1 of a small file. */
  readonly etag: string;
  readonly size: number;
}

const MAX_REDIRECTS = 5;

/** Asks the hub what a file is, without its bytes. */
export async function describeFile(hub: Hub, file: HubFile, signal: AbortSignal | undefined): Promise<HubAnswer> {
  const url = fileUrl(hub, file, file.revision);
  // A redirect that tells the digest leads to the storage; one that does not is a repository that was renamed.
  const described = (headers: Headers) => headers.has("x-linked-etag");
  const { response, headers } = await request(hub, file, url, { method: "HEAD", signal, until: described });
  await response.body?.cancel();
  const commit = headers.get("x-repo-commit") ?? "";
  const etag = (headers.get("x-linked-etag") ?? headers.get("etag") ?? "").replace(/^W\//, "").replaceAll('"', "");
  const size = headers.get("x-linked-size") ?? (response.ok ? headers.get("content-length") : null) ?? "";
  // They become names of files, so nothing but what the hub is known to send: a sha256, or git's sha1 of a small file.
  if (!COMMIT.test(commit) || !/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(etag) || !/^\d{1,15}$/.test(size)) {
    throw new Error(
      `Cannot use ${
        shownUrl(hub, url)
      }: the answer has no commit, digest and size of the file, so that it does not come from a model hub; ` +
        "check HF_ENDPOINT and the proxy",
    );
  }
  return { commit, etag, size: Number(size) };
}

/** Where the bytes of a file are. */
export function fileUrl(hub: Hub, file: HubFile, revision: string): string {
  const path = file.path.split("/").map(encodeURIComponent).join("/");
  return `${hub.endpoint}/${file.repository}/resolve/${encodeURIComponent(revision)}/${path}`;
}

/** How a request is made, and whose answer to a redirect is enough. */
export interface RequestOptions {
  readonly method?: "HEAD" | "GET";
  readonly range?: string;
  readonly signal?: AbortSignal | undefined;
  readonly until?: (headers: Headers) => boolean;
}

/**
 * Follows redirects by hand: what the hub tells of a file comes with the first, and the token is for the hub alone.
 *
 * @returns The last answer, its status 2xx, 416 or a redirect that was enough; its headers.
 * @throws {HubUnavailableError} when there is no answer, or the hub is busy or broken.
 * @throws {ModelNotFoundError} when the hub says that there is no such file.
 */
export async function request(
  hub: Hub,
  file: HubFile,
  url: string,
  options: RequestOptions,
): Promise<{ response: Response; headers: Headers }> {
  let at = url;
  for (let i = 0; i <= MAX_REDIRECTS; i++) {
    const response = await ask(hub, at, options);
    const { headers, status } = response;
    const location = headers.get("location");
    if (response.ok || status === 416) return { response, headers };
    if (status >= 300 && status < 400 && location !== null) {
      if (options.until?.(headers)) return { response, headers };
      await response.body?.cancel();
      at = redirected(hub, at, location);
      continue;
    }
    await response.body?.cancel();
    throw refusal(hub, file, shownUrl(hub, at), response);
  }
  throw new Error(`Cannot get ${shownUrl(hub, url)}: it redirects more than ${MAX_REDIRECTS} times`);
}

/**
 * Where a redirect leads. A `file:` or `data:` URL, which fetch would read, is not the hub's to give, nor is a way out
 * of TLS.
 */
function redirected(hub: Hub, from: string, location: string): string {
  const to = URL.parse(location, from);
  const allowed = /^https:/.test(from) ? ["https:"] : ["https:", "http:"];
  if (to && allowed.includes(to.protocol)) return to.href;
  const where = to ? quoted(hub, `${to.protocol}${to.host && `//${to.host}`}`) : "no URL";
  throw new Error(
    `Cannot get ${shownUrl(hub, from)}: it redirects to ${where}, only ${allowed.join(" and ")} are followed`,
  );
}

/** A URL for a message, as `quoted`: of the hub with its path, of a storage without, since its signature may be in there. */
export function shownUrl(hub: Hub, url: string): string {
  const { origin, pathname } = new URL(url);
  const path = origin === new URL(hub.endpoint).origin ? pathname : "";
  return quoted(hub, origin + path, 2 * LONGEST_QUOTE);
}

/** What a hub, a storage or a proxy says, for a message: printable, bounded, and without the token that it was sent. */
function quoted(hub: Hub, text: string, most?: number): string {
  return printable(text, hub.token, most);
}

async function ask(hub: Hub, url: string, { method = "GET", range, signal }: RequestOptions): Promise<Response> {
  // Bytes as they are: with a compressed answer, ranges and lengths would be those of something else.
  const headers: Record<string, string> = { "accept-encoding": "identity" };
  if (range) headers["range"] = range;
  if (hub.token && new URL(url).origin === new URL(hub.endpoint).origin) {
    headers["authorization"] = `Bearer ${hub.token}`;
  }
  const patience = new AbortController();
  const late = new Error(`no answer within ${hub.times.answer / 1000} s`);
  const timer = setTimeout(() => patience.abort(late), hub.times.answer);
  try {
    const signals = signal ? [signal, patience.signal] : [patience.signal];
    const either = AbortSignal.any(signals);
    return await orAborted(either, hub.fetch(url, { method, headers, redirect: "manual", signal: either }));
  } catch (error) {
    signal?.throwIfAborted();
    if (isPermissionError(error) && hub.fetch === globalThis.fetch) throw error; // a caller's fetch may say anything
    const remedy = "name a mirror with HF_ENDPOINT, or load a model by the path of its file";
    throw new HubUnavailableError(
      `Cannot reach ${quoted(hub, new URL(url).origin)}: ${reasonOf(hub, error)}; ${remedy}`,
    );
  } finally {
    clearTimeout(timer);
  }
}

/** What a promise gives, or the signal's reason: a caller's fetch need not listen to a signal. */
export async function orAborted<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const stop = (): void => reject(signal.reason);
  signal.addEventListener("abort", stop);
  if (signal.aborted) stop();
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

function refusal(hub: Hub, file: HubFile, url: string, response: Response): Error {
  const { status, headers } = response;
  const answer = `the hub answers ${status} ${quoted(hub, headers.get("x-error-code") ?? response.statusText)}`.trim();
  if (status === 404) {
    const model = showHubFile(file);
    return new ModelNotFoundError(`Cannot find ${model}: ${answer} for ${url}; check its name and revision`, model);
  }
  if (status === 429 || status >= 500) return new HubUnavailableError(`Cannot get ${url}: ${answer}; try again later`);
  if (status === 401 || status === 403) {
    const remedy = hub.token
      ? `the token of HF_TOKEN may not read it; accept its terms at ${hub.endpoint}/${file.repository}, if it has any`
      : "there is no such repository, or it wants a token: set HF_TOKEN to one of yours that may read it";
    return new Error(`Cannot get ${url}: ${answer}; ${remedy}`);
  }
  return new Error(`Cannot get ${url}: ${answer}`);
}

/** Whether it was the runtime that refused, not the network. */
export function isPermissionError(error: unknown): boolean {
  return error instanceof Error && ["NotCapable", "PermissionDenied"].includes(error.name);
}

/**
 * One line, of the innermost cause: what is outside says only "fetch failed". The error itself becomes nobody's `cause`: its
 * message and its stack may have the URL of a redirect, and so whatever a server put there.
 */
export function reasonOf(hub: Hub, error: unknown): string {
  let at = error instanceof Error ? error : new Error(String(error));
  while (at.cause instanceof Error) at = at.cause;
  return quoted(hub, at.message.split("\n")[0]!.replace(/^error sending request for url \(.*?\): /, ""));
}
