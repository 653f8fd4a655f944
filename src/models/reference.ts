/** How files on the model hub are named: `hf:owner/repo/file.gguf[@revision]`, or a name of the catalogue. */
import { catalogue, type CatalogueName } from "./catalogue.ts";
import { LONGEST_REASON, printable } from "../check.ts";
import { partNames } from "../files.ts";

/** A file of a repository on the hub. Every part is safe to be made a path of. */
export interface HubFile {
  /** The repository, as `owner/name`. */
  readonly repository: string;
  /** The path in the repository, with `/`. */
  readonly path: string;
  /** A branch, a tag or a commit. */
  readonly revision: string;
}

const FORM = "hf:owner/repository/file.gguf or hf:owner/repository/file.gguf@revision";
// What the hub allows in names (huggingface_hub's validate_repo_id), and nothing that leads out of a directory.
const NAME = /^(?!.*(--|\.\.))[A-Za-z0-9_](?:[\w.-]{0,94}[A-Za-z0-9_])?$/;
const SEGMENT = /^(?!\.{1,2}$)[^\\/:*?"<>|\p{Cc}]+(?<![. ])$/u;

/**
 * Reads an `hf:` name.
 *
 * @throws {RangeError} when it is none, or when a part of it could lead out of the cache.
 */
export function parseHubFile(model: string): HubFile {
  const [, owner = "", name = "", path = "", revision = "main"] =
    /^hf:([^/]+)\/([^/]+)\/(.+?\.gguf)(?:@(.+))?$/i.exec(model) ?? [];
  const segments = [...path.split("/"), ...revision.split("/")];
  if (!NAME.test(owner) || !NAME.test(name) || !segments.every((segment) => SEGMENT.test(segment))) {
    throw new RangeError(
      `Cannot read model ${printable(JSON.stringify(model), undefined, LONGEST_REASON)}: it must be ${FORM}`,
    );
  }
  return { repository: `${owner}/${name}`, path, revision };
}

/** The hub's file of a model of the catalogue. */
export function hubFileOf(name: CatalogueName): HubFile {
  const { repository, file } = catalogue[name];
  return { repository, path: file, revision: "main" };
}

/**
 * All parts of a split model, in order, whichever of them is named; a model that is not split is its only part. They are made
 * one after the other, since a name may claim 99,999: who looks for them stops at the first that is missing.
 */
export function* partsOf(file: HubFile): Generator<HubFile, void> {
  for (const path of partNames(file.path)) yield { ...file, path };
}

/** The name again, as a user would write it, fit for a message. */
export function showHubFile({ repository, path, revision }: HubFile): string {
  return printable(`hf:${repository}/${path}${revision === "main" ? "" : `@${revision}`}`, undefined, LONGEST_REASON);
}
