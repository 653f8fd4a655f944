// A stand-in for JSR: serves over HTTP what `deno publish` would publish of this checkout, and nothing else.
import { readFile } from "node:fs/promises";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import process from "node:process";
import { ROOT } from "./child.ts";

/** A server that runs. */
export interface PackageServer extends AsyncDisposable {
  /** `127.0.0.1:<port>`, as `--allow-import` takes it. */
  readonly host: string;
  /** Where the package is; ends in a slash. */
  readonly url: string;
  /** What was asked for, with the status of each answer: `200 mod.ts`. */
  readonly log: readonly string[];
}

// Deno takes a module without a media type that it knows for "Unknown" and refuses it.
const MEDIA_TYPES: Readonly<Record<string, string>> = {
  ".ts": "application/typescript",
  ".json": "application/json",
  ".md": "text/markdown",
};

/** Serves the package at the path that JSR has for it. */
export async function servePackage(port = 0): Promise<PackageServer> {
  const { name, version, publish: { include } } = JSON.parse(readFileSync(join(ROOT, "deno.json"), "utf8"));
  const prefix = `/${name}/${version}/`;
  const log: string[] = [];
  const server = createServer(async ({ url = "" }, response) => {
    const path = url.startsWith(prefix) ? url.slice(prefix.length) : "";
    const bytes = isPublished(path, include) ? await readFile(join(ROOT, path)).catch(() => undefined) : undefined;
    response.statusCode = bytes ? 200 : 404;
    log.push(`${response.statusCode} ${path || url}`);
    response.setHeader("content-type", MEDIA_TYPES[extname(path)] ?? "text/plain");
    response.end(bytes ?? "not published");
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    host,
    url: `http://${host}${prefix}`,
    log,
    async [Symbol.asyncDispose](): Promise<void> {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Whether a path is a file, in a folder, or below a `*.ts` of deno.json's `publish.include`. */
export function isPublished(path: string, include: readonly string[]): boolean {
  if (path.split("/").includes("..")) return false;
  return include.some((pattern) =>
    pattern === path || path.startsWith(`${pattern}/`) ||
    pattern === "*.ts" && !path.includes("/") && path.endsWith(".ts")
  );
}

if (import.meta.main) { // to try the package by hand: deno run -A tests/support/package_server.ts [PORT]
  console.log((await servePackage(Number(process.argv[2] ?? 0))).url);
}
