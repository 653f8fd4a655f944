/** Decides who may ask: by Host and Origin against DNS rebinding and foreign web pages, and by keys. */
import { createHash, timingSafeEqual } from "node:crypto";
import { quoted } from "../quote.ts";
import { Answer } from "./answer.ts";
import type { Asked } from "./asked.ts";
import { Problem } from "./problem.ts";

/** Who may ask. */
export interface GuardOptions {
  /** Keys, one of which a request must have as `Authorization: Bearer` or `x-api-key`. Default: none is needed. */
  readonly keys?: readonly string[] | undefined;
  /** Whether only this machine reaches the server: then the Host header is checked. Default: true. */
  readonly loopback?: boolean | undefined;
  /** Names of hosts that are accepted besides, on loopback. */
  readonly allowHosts?: readonly string[] | undefined;
  /** Origins of web pages that are accepted besides, such as `https://chat.example.com`; `*` and `null` only with keys. */
  readonly allowOrigins?: readonly string[] | undefined;
}

const OPEN = ["/healthz", "/readyz", "/health"];
const HOSTS = ["localhost", "host.docker.internal", "host.containers.internal"];
const ORIGINS = ["app://obsidian.md", "tauri://localhost"];
const EXPOSED = "x-truncated, x-llamasaur-fingerprint, x-request-id, retry-after, x-compute-type, x-compute-time, " +
  "x-compute-characters, x-compute-tokens, x-total-time, x-tokenization-time, x-queue-time, x-inference-time";

/** Checks requests. */
export class Guard {
  readonly #digests: readonly Uint8Array[];
  readonly #loopback: boolean;
  readonly #hosts: ReadonlySet<string>;
  readonly #origins: ReadonlySet<string>;

  constructor({ keys = [], loopback = true, allowHosts = [], allowOrigins = [] }: GuardOptions) {
    const open = allowOrigins.find((origin) => origin === "*" || origin === "null");
    if (open !== undefined && keys.length === 0) {
      throw new RangeError(
        `Cannot allow the origin ${open} without a key: any web page could read; give --api-key-file`,
      );
    }
    if (keys.some((key) => !/^[\x21-\x7e]+$/.test(key))) {
      throw new RangeError(
        "Cannot take the keys: each must have letters, digits and signs of ASCII alone, without spaces",
      );
    }
    this.#digests = keys.map(digest);
    this.#loopback = loopback;
    this.#hosts = new Set([...HOSTS, ...allowHosts.map(readHost)]);
    this.#origins = new Set([...ORIGINS, ...allowOrigins.map(readOrigin)]);
  }

  /**
   * Checks where a request comes from.
   *
   * @returns The headers that its answer gets, whatever it is: without them a page cannot read that its key is wrong.
   * @throws {Problem} `forbidden`.
   */
  admit(request: Asked): Record<string, string> {
    this.#checkHost(request);
    return this.#checkOrigin(request);
  }

  /**
   * Checks a request's key, where the path needs one.
   *
   * @throws {Problem} `unauthorized`.
   */
  checkKey(request: Asked, path: string): void {
    const open = OPEN.includes(path) || path === "/metrics" && this.#loopback;
    if (this.#digests.length > 0 && !open && !this.#hasKey(request)) {
      const why = request.headers.has("authorization") || request.headers.has("x-api-key")
        ? "with this key: it is none of the server's; send one of them"
        : "without a key: send it";
      throw new Problem("unauthorized", `Cannot answer ${why} as Authorization: Bearer KEY or x-api-key`);
    }
  }

  /** Answers a preflight; undefined if the request is none. */
  preflight(request: Asked): Answer | undefined {
    if (request.method !== "OPTIONS" || !request.headers.has("access-control-request-method")) return undefined;
    this.#checkHost(request);
    const headers: Record<string, string> = {
      ...this.#checkOrigin(request),
      "access-control-allow-methods": "GET, HEAD, POST",
      "access-control-allow-headers": request.headers.get("access-control-request-headers")?.slice(0, 1000) ??
        "content-type, authorization, x-api-key",
      "access-control-max-age": "600",
    };
    if (request.headers.get("access-control-request-private-network") === "true") {
      headers["access-control-allow-private-network"] = "true";
    }
    return new Answer(null, headers, 204);
  }

  /** What has no Host is no page's request: browsers always send it. */
  #checkHost(request: Asked): void {
    if (!this.#loopback) return;
    const host = hostOf(request.headers.get("host") ?? "localhost");
    if (isLocal(host) || this.#hosts.has(host)) return;
    throw new Problem(
      "forbidden",
      "Cannot answer for this Host: a server on loopback takes localhost alone, since any name may lead here (DNS " +
        "rebinding); allow it with --allow-host",
    );
  }

  #checkOrigin(request: Asked): Record<string, string> {
    const origin = request.headers.get("origin");
    if (origin === null) return {};
    if (this.#accepts(origin)) {
      return { "access-control-allow-origin": origin, "access-control-expose-headers": EXPOSED, vary: "origin" };
    }
    // With a key, off loopback, another page's request does no harm: the page has no key, and no header lets it read.
    if (!this.#loopback && this.#digests.length > 0 && request.method !== "OPTIONS") return { vary: "origin" };
    throw new Problem("forbidden", "Cannot answer for a page of this Origin: allow it with --cors");
  }

  #accepts(origin: string): boolean {
    if (this.#origins.has(origin) || this.#origins.has("*") && this.#digests.length > 0) return true;
    if (/^vscode-webview:\/\/[\w.-]+$/.test(origin)) return true;
    const [, authority] = /^https?:\/\/([^/?#@\\]+)$/.exec(origin) ?? [];
    return authority !== undefined && isLocal(hostOf(authority));
  }

  #hasKey(request: Asked): boolean {
    const bearer = /^Bearer +(\S+)\s*$/i.exec(request.headers.get("authorization") ?? "")?.[1];
    // A client that has no key may send a word in its place; the one that was given stands in the other header then.
    const given = [bearer, request.headers.get("x-api-key")].filter((key) => typeof key === "string").map(digest);
    // All are compared, whichever fits: the time tells nothing.
    return given.reduce(
      (fits, hashed) => this.#digests.reduce((found, key) => timingSafeEqual(key, hashed) || found, fits),
      false,
    );
  }
}

function digest(key: string): Uint8Array {
  return createHash("sha256").update(key).digest();
}

/** A host as requests have it: of `Mine.Example:8411` the name. */
function readHost(given: string): string {
  const host = hostOf(given);
  if (host !== "" && !/[\s/@*]/.test(host)) return host;
  throw new RangeError(`Cannot allow the host ${quoted(given, 100)}: it must be a name such as server.example.com`);
}

/** An origin as browsers send it: of `HTTPS://Chat.Example/` the scheme and the host in small letters. */
function readOrigin(given: string): string {
  if (given === "*" || given === "null") return given;
  const [, origin] = /^([a-z][a-z\d+.-]*:\/\/[^\s/?#@*\\]+)\/?$/i.exec(given) ?? [];
  // Of http the port 80 is left out, as browsers do.
  if (origin !== undefined) return /^http/i.test(origin) ? new URL(origin).origin : origin.toLowerCase();
  throw new RangeError(
    `Cannot allow the origin ${quoted(given, 100)}: it must be a scheme and a host, such as https://chat.example.com`,
  );
}

/** The host without its port, in small letters; of a name with a final dot the name. */
function hostOf(authority: string): string {
  const [, host = ""] = /^(\[[^\]]*\]|[^:]*)(?::\d*)?$/.exec(authority) ?? [];
  return host.toLowerCase().replace(/\.$/, "");
}

/** Whether a host is this machine by its very name. */
function isLocal(host: string): boolean {
  return host === "localhost" || host === "[::1]" || /^127(\.(25[0-5]|2[0-4]\d|1?\d?\d)){3}$/.test(host);
}

/** Whether an address to listen on is reached by this machine alone. */
export function isLoopback(host: string): boolean {
  return isLocal(host) || host === "::1";
}
