// A stand-in for the model hub: what its real answers look like, and what can go wrong with them.
import { createHash } from "node:crypto";
import { existsSync, lstatSync, readdirSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { download, type DownloadOptions } from "../../models.ts";
import { inDirectory } from "./checkpoint.ts";
import { canLink } from "./lend.ts";

/** The commit that every branch and tag of the stand-in means. */
export const COMMIT = "0123456789abcdef0123456789abcdef01234567";

/** Bytes that look like a GGUF file to whoever looks at the beginning only. */
export function ggufOf(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let i = 0, x = seed; i < length; i++) bytes[i] = (x = (x * 1103515245 + 12345) & 0x7fffffff) >> 16;
  bytes.set(new TextEncoder().encode("GGUF"));
  return bytes;
}

/** Handles a request instead of the stand-in, if it returns true. */
export type Fault = (request: IncomingMessage, response: ServerResponse, body: Uint8Array) => boolean | void;

/** A running stand-in. */
export class HubServer {
  /** What to use as HF_ENDPOINT. */
  readonly endpoint: string;
  /** Where the bytes come from: another origin, as the hub's storage is. */
  readonly storage: string;
  /** One line a request: method, path, range. */
  readonly log: string[] = [];
  /** The authorization header of each request, by `hub` or `storage`. */
  readonly tokens: { hub: (string | undefined)[]; storage: (string | undefined)[] } = { hub: [], storage: [] };
  /** Files by `owner/repository/path`. */
  readonly files: Map<string, Uint8Array> = new Map();
  /** The token that is wanted, if one is. */
  token: string | undefined;
  /** Handles requests to the hub in another way. */
  onHub: Fault | undefined;
  /** Handles requests to the storage in another way. */
  onStorage: Fault | undefined;
  readonly #close: () => Promise<void>;

  private constructor(endpoint: string, storage: string, close: () => Promise<void>) {
    this.endpoint = endpoint;
    this.storage = storage;
    this.#close = close;
  }

  static async start(files: Record<string, Uint8Array>): Promise<HubServer> {
    const [hub, storage] = await Promise.all([
      listen((request, response) => self.#hub(request, response)),
      listen((request, response) => self.#storage(request, response)),
    ]);
    const self: HubServer = new HubServer(hub.origin, storage.origin, async () => {
      await Promise.all([hub.close(), storage.close()]);
    });
    for (const [path, bytes] of Object.entries(files)) self.files.set(path, bytes);
    return self;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
  }

  #hub(request: IncomingMessage, response: ServerResponse): void {
    this.log.push(`${request.method} ${request.url}`);
    this.tokens.hub.push(request.headers.authorization);
    const [, repository, revision, path] = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(request.url!) ?? [];
    const bytes = this.files.get(`${repository}/${decodeURIComponent(path ?? "")}`);
    if (this.onHub?.(request, response, bytes ?? new Uint8Array())) return;
    if (this.token !== undefined && request.headers.authorization !== `Bearer ${this.token}`) {
      response.writeHead(401, { "x-error-code": "RepoNotFound" }).end("Invalid username or password.");
    } else if (revision !== "main" && revision !== "v1" && revision !== COMMIT) {
      response.writeHead(404, { "x-error-code": "RevisionNotFound" }).end();
    } else if (bytes === undefined) {
      response.writeHead(404, { "x-error-code": "EntryNotFound", "x-repo-commit": COMMIT }).end();
    } else {
      response.writeHead(302, {
        "location": `${this.storage}/${repository}/${path}`,
        "x-repo-commit": COMMIT,
        "x-linked-size": bytes.length,
        "x-linked-etag": `"${sha256(bytes)}"`,
        "etag": '"not-this-one"',
      }).end(request.method === "HEAD" ? undefined : "Found. Redirecting");
    }
  }

  #storage(request: IncomingMessage, response: ServerResponse): void {
    const { range } = request.headers;
    this.log.push(`${request.method} storage ${range ?? ""}`.trim());
    this.tokens.storage.push(request.headers.authorization);
    const bytes = this.files.get(decodeURIComponent(request.url!.slice(1)))!;
    if (this.onStorage?.(request, response, bytes)) return;
    sendRange(range, response, bytes);
  }
}

/** Answers with the range that is asked for, as storages do. */
export function sendRange(range: string | undefined, response: ServerResponse, bytes: Uint8Array): void {
  const from = Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1] ?? 0);
  if (from >= bytes.length) return void response.writeHead(416).end();
  const headers = { "content-length": bytes.length - from };
  if (range === undefined) response.writeHead(200, headers);
  else response.writeHead(206, { ...headers, "content-range": `bytes ${from}-${bytes.length - 1}/${bytes.length}` });
  response.end(bytes.subarray(from));
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

async function listen(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<{ origin: string; close: () => Promise<void> }> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  async function close(): Promise<void> {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
  return { origin: `http://127.0.0.1:${port}`, close };
}

/** The stand-in's one model. */
export const MODEL: Uint8Array<ArrayBuffer> = ggufOf(400_000);
/** Its name. */
export const NAME = "hf:owner/repo/model.gguf";

/** Runs with a hub that has one model, and a download from it into an empty cache. */
export async function withHub(
  run: (
    hub: HubServer,
    cache: string,
    get: (model?: string, more?: DownloadOptions) => Promise<string>,
  ) => Promise<void>,
  files: Record<string, Uint8Array> = { "owner/repo/model.gguf": MODEL },
): Promise<void> {
  await inDirectory(async (directory) => {
    await using hub = await HubServer.start(files);
    const cache = join(directory, "hub");
    const options = { endpoint: hub.endpoint, cache, token: "secret", offline: false, onProgress: () => {} };
    await run(hub, cache, (model = NAME, more = {}) => download(model, { ...options, ...more }));
  });
}

/** The files of a cache, without directories. */
export function filesOf(cache: string): string[] {
  if (!existsSync(cache)) return [];
  return readdirSync(cache, { recursive: true, encoding: "utf8" })
    .filter((path) => !lstatSync(join(cache, path)).isDirectory())
    .map((path) => path.replaceAll("\\", "/")).sort();
}

/** What a cache has when it has the model. */
export const LAYOUT: readonly string[] = [
  `models--owner--repo/blobs/${sha256(MODEL)}`,
  "models--owner--repo/refs/main",
  `models--owner--repo/snapshots/${COMMIT}/model.gguf`,
];

/** What is left of {@link LAYOUT} where the snapshot's file cannot be a link: it is the bytes themselves. */
export const KEPT: readonly string[] = canLink ? LAYOUT : LAYOUT.slice(1);
