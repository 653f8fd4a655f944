/**
 * The types of the platform that the declarations name. A project may have none of them (no DOM, no @types/node, an old
 * `lib`), and its compiler must not find an error here: then each is what we use of it.
 *
 * scripts/pack/mod.mjs puts this file into npm's package, and an import of it at the end of each declaration file that
 * names one.
 */
/// <reference lib="es2018.asyncgenerator" />
/// <reference lib="es2022.error" />
/// <reference lib="esnext.disposable" />

type Instance<Name extends string, Else> = typeof globalThis extends { readonly [K in Name]: { prototype: infer T } }
  ? T
  : Else;

export type URL = Instance<"URL", { readonly href: string; readonly protocol: string; readonly pathname: string }>;
export type AbortSignal = Instance<"AbortSignal", { readonly aborted: boolean; readonly reason: unknown }>;
export type Headers = Instance<"Headers", { get(name: string): string | null; has(name: string): boolean }>;
export type Response = Instance<"Response", { readonly status: number; readonly headers: Headers }>;
export declare const fetch: typeof globalThis extends { readonly fetch: infer T } ? T
  : (input: string, init?: object) => Promise<Response>;
