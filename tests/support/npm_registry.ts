// A stand-in for npm's registry: serves the packages that are given to it, and nothing else.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { basename } from "node:path";

/** A package: what its package.json says, and the file that `npm pack` made. */
export interface Packed {
  readonly manifest: { readonly name: string; readonly version: string };
  readonly tarball: string;
}

/** A registry that runs. */
export interface NpmRegistry extends AsyncDisposable {
  /** What npm, Bun and Deno take as the address of a registry. */
  readonly url: string;
  /** What was asked for, with the status of each answer. */
  readonly log: readonly string[];
}

/** Serves packages by npm's protocol: a document for each name, and the tarballs that it names. */
export async function serveNpm(packages: readonly Packed[]): Promise<NpmRegistry> {
  const tarballs = new Map<string, Uint8Array>();
  for (const { tarball } of packages) tarballs.set(`/-/${basename(tarball)}`, await readFile(tarball));
  const log: string[] = [];
  const server = createServer(({ url = "" }, response) => {
    const path = decodeURIComponent(url);
    const found = packages.filter(({ manifest }) => path === `/${manifest.name}`);
    const tarball = tarballs.get(path);
    response.statusCode = found.length > 0 || tarball ? 200 : 404;
    log.push(`${response.statusCode} ${path}`);
    response.setHeader("content-type", tarball ? "application/octet-stream" : "application/json");
    response.end(
      tarball ?? JSON.stringify(found.length > 0 ? document(found, origin(), tarballs) : { error: "not found" }),
    );
  });
  const origin = (): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `${origin()}/`,
    log,
    async [Symbol.asyncDispose](): Promise<void> {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** What a registry says of a package's versions; the first is the newest. */
function document(
  versions: readonly Packed[],
  origin: string,
  tarballs: ReadonlyMap<string, Uint8Array>,
): Record<string, unknown> {
  const described = versions.map(({ manifest, tarball }) => {
    const path = `/-/${basename(tarball)}`;
    const bytes = tarballs.get(path)!;
    const integrity = `sha512-${createHash("sha512").update(bytes).digest("base64")}`;
    const shasum = createHash("sha1").update(bytes).digest("hex");
    return [manifest.version, { ...manifest, dist: { tarball: origin + path, integrity, shasum } }] as const;
  });
  return {
    name: versions[0]!.manifest.name,
    "dist-tags": { latest: described[0]![0] },
    versions: Object.fromEntries(described),
    time: Object.fromEntries(described.map(([version]) => [version, "2026-01-01T00:00:00.000Z"])),
  };
}
