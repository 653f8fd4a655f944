/** Where the file of a model is, however the model was named. Looks at this machine only. */
import { isAbsolute, join, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { ModelNotFoundError } from "../../ffi/errors.ts";
import { isCheckout, packageRoot } from "../../ffi/host/paths.ts";
import { env, granted, isFile, isFolder } from "../../ffi/host/permission.ts";
import { cachedFile, hubCache } from "./cache.ts";
import { type HubFile, hubFileOf, parseHubFile, partsOf, showHubFile } from "./reference.ts";
import { catalogue, type CatalogueName, catalogueName } from "./catalogue.ts";
import { nearest } from "../../ffi/host/options.ts";
import { addressOf, checkPath, checkText, LONGEST_REASON, printable, show, unexpanded } from "../check.ts";

/** A model as a user names it, read but not looked up. */
export type ModelReference =
  | { readonly kind: "path"; readonly path: string }
  | { readonly kind: "hub"; readonly file: HubFile; readonly name?: CatalogueName };

/**
 * Reads what a user gave as a model, without looking anywhere.
 *
 * @param model A path, a `file:` URL, a name of the catalogue (no slash, no `.gguf`), or
 * `hf:owner/repository/file.gguf[@revision]`.
 * @throws {TypeError} when it is no string and no `file:` URL.
 * @throws {RangeError} when it is an `hf:` name of the wrong form.
 * @throws {ModelNotFoundError} when the catalogue has no such name.
 */
export function parseModel(model: unknown): ModelReference {
  if (typeof model !== "string" && !(model instanceof URL)) {
    throw new TypeError(`Cannot read model: it must be a path, a URL or a name, is ${show(model)}`);
  }
  const address = addressOf(model);
  if (address !== undefined) {
    throw new TypeError(`Cannot read model ${quoted(address)}: it must be a file: URL; ${hubName(address)}`);
  }
  if (model instanceof URL || /^file:/i.test(model)) return { kind: "path", path: checkPath("model", model) };
  checkText("model", model);
  if (model === "" || model.includes("\0")) {
    throw new RangeError(`Cannot read model: it must be a path or a name, is ${JSON.stringify(model)}`);
  }
  if (model.startsWith("hf:")) return { kind: "hub", file: parseHubFile(model) };
  if (/[\\/]|\.gguf$|^[~$%.]/i.test(model)) return { kind: "path", path: model };
  const name = catalogueName(model);
  if (name === undefined) {
    throw new ModelNotFoundError(`Cannot find model ${quoted(model)}: ${noSuchName(model)}`, model);
  }
  return { kind: "hub", name, file: hubFileOf(name) };
}

/** What is wrong with a name that the catalogue does not have, and what was probably meant. */
function noSuchName(model: string): string {
  if (/\.(safetensors|bin|pt|onnx|h5)$/i.test(model)) {
    return "it is no GGUF file; convert the checkpoint's folder to make one";
  }
  if (isFolder(model)) {
    return "it is a directory; name a .gguf file in it, or convert it, if it is a checkpoint";
  }
  if (isFile(model)) {
    return `a path has a slash or ends in .gguf: for the one that is here give "./${printable(model)}"`;
  }
  const names = Object.keys(catalogue);
  const near = nearest(model.trim(), names);
  return `the catalogue has no such name${
    near === undefined ? "" : `, did you mean "${near}"?`
  }; a path has a slash or ends ` +
    `in .gguf; the catalogue has ${names.join(", ")}`;
}

/**
 * The path of a model's file. A path or `file:` URL is taken as it is, without any permission; a name is looked up in
 * `models/` of the checkout and in the hub's cache, as far as that may be read without asking.
 *
 * @param model A path, a `file:` URL, a name of the catalogue (no slash, no `.gguf`), or
 * `hf:owner/repository/file.gguf[@revision]`.
 * @returns The path; of a split model that of its first part.
 * @throws {TypeError} when it is no string and no `file:` URL.
 * @throws {RangeError} when it is an `hf:` name of the wrong form.
 * @throws {ModelNotFoundError} when the file is at none of these places; the message lists them and how to get it.
 */
export function modelPath(model: string | URL): string {
  return pathOf(parseModel(model), String(model));
}

/**
 * The path of a model's file, as `modelPath`.
 *
 * @param found What `parseModel` read.
 * @param model How the user named it, for the message.
 */
export function pathOf(found: ModelReference, model: string): string {
  if (found.kind === "path") return found.path;
  const tried: string[] = [];
  const path = inFolder(found.file, found.name, tried) ?? inCache(found.file, tried);
  if (path !== undefined) return path;
  // Where nothing may be read, the file may well be there: say that first.
  const blind = tried.some((line) => line.includes("no permission"));
  const first = blind ? "allow to look for it with --allow-read and --allow-env, or " : "";
  const remedy = howToGet(model);
  const of = isCheckout() ? "" : ' of "@llamasaur/llamasaur/models"';
  const places = tried.map((line) => `  ${line}`).join("\n");
  throw new ModelNotFoundError(
    `Cannot find model ${quoted(model)}: ${first}get it with \`${remedy}\`${of}; looked at:\n${places}`,
    model,
    remedy,
  );
}

/** The error for a path where there is no file: what was probably meant. */
export function missingFile(path: string): ModelNotFoundError {
  const remedy = unexpanded(path) || inHub(path) || "give the path of a file that is there, or a name of the catalogue";
  return new ModelNotFoundError(
    `Cannot load the model ${printable(path, undefined, LONGEST_REASON)}: there is no such file${
      resolved(path)
    }; ${remedy}`,
    path,
  );
}

/** What to give for a path that looks as the hub writes a repository, `owner/name`; "" where it does not. */
export function inHub(path: string): string {
  if (/\.gguf$/i.test(path) || !/^[\w-][\w.-]*\/[\w.-]+$/.test(path)) return "";
  const name = catalogueName(path.slice(path.indexOf("/") + 1));
  if (name) return `for that model of the hub give ${JSON.stringify(name)}, its name in the catalogue`;
  return `for a model of the hub give a name of the catalogue, or hf:${printable(path)}/FILE.gguf`;
}

/** What to give for the address of a file of the hub, as a browser shows it. */
function hubName(url: string): string {
  const [, repository, revision, file] =
    /^https?:\/\/(?:huggingface\.co|hf\.co)\/([^/]+\/[^/]+)\/(?:resolve|blob)\/([^/]+)\/([^?#]+\.gguf)/i.exec(url) ??
      [];
  if (file === undefined) return "models of the hub are hf:owner/repository/file.gguf";
  return `for that file of the hub give "hf:${
    printable(`${repository}/${file}${revision === "main" ? "" : `@${revision}`}`, undefined, LONGEST_REASON)
  }"`;
}

function quoted(model: string): string {
  return printable(JSON.stringify(model), undefined, LONGEST_REASON);
}

/** Where a relative path leads, if the working directory may be known. */
function resolved(path: string): string {
  if (isAbsolute(path) || unexpanded(path) || !granted({ name: "read", path: "." })) return "";
  return ` (${printable(resolve(path), undefined, LONGEST_REASON)})`;
}

/** The folder of models: LLAMASAUR_MODELS, or `models/` of the checkout; undefined when this package is installed. */
export function modelFolder(): string | undefined {
  const named = env("LLAMASAUR_MODELS");
  return named ?? (isCheckout() ? fileURLToPath(new URL("models", packageRoot())) : undefined);
}

function inFolder(file: HubFile, name: CatalogueName | undefined, tried: string[]): string | undefined {
  // The folder knows no revisions and no repositories: only names that mean the very file are looked up in it.
  if (name === undefined) return undefined;
  const folder = modelFolder();
  if (folder === undefined) return undefined;
  const { made } = catalogue[name];
  const files = [...(made ? [made] : []), file.path.slice(file.path.lastIndexOf("/") + 1)];
  for (const path of files.map((one) => join(folder, one))) {
    const there = isFile(path);
    if (there) return path;
    tried.push(there === undefined ? `${path}: no permission (--allow-read)` : path);
  }
  return undefined;
}

function inCache(file: HubFile, tried: string[]): string | undefined {
  const cache = hubCache();
  if (cache === undefined) {
    const readable = ["HOME", "HF_HOME", "HF_HUB_CACHE"].every((variable) => granted({ name: "env", variable }));
    const what = readable ? "are all unset" : "cannot be read: no permission (--allow-env)";
    tried.push(`the hub's cache: HOME, HF_HOME and HF_HUB_CACHE ${what}`);
    return undefined;
  }
  const paths = partsOf(file).map((part) => cachedFile(cache, part));
  const first = paths.next().value;
  if (first !== undefined && paths.every((path) => path !== undefined)) return first;
  const permitted = granted({ name: "read", path: cache });
  tried.push(`${cache}: ${permitted ? `has no ${showHubFile(file)}` : "no permission (--allow-read)"}`);
  return undefined;
}

/** The one command or call that gets a model. */
function howToGet(model: string): string {
  if (!isCheckout()) return `await download(${quoted(model)})`;
  const script = fileURLToPath(new URL("scripts/download_models.sh", packageRoot()));
  const here = granted({ name: "read", path: "." }) ? process.cwd() : undefined;
  const shown = here !== undefined && script.startsWith(`${here}/`) ? `.${script.slice(here.length)}` : script;
  return `${shown} ${printable(model, undefined, LONGEST_REASON)}`;
}
