/**
 * Models by name: what is known of them, where they are on this machine, and getting them from the model hub.
 *
 * @example
 * ```ts ignore
 * import { Llama } from "@llamasaur/llamasaur";
 * import { download } from "@llamasaur/llamasaur/models";
 *
 * await download("bge-small-en-v1.5");
 * await using llama = await Llama.load("bge-small-en-v1.5");
 * ```
 *
 * @module
 */
export { catalogue, type CatalogueEntry, type CatalogueName } from "./src/models/catalogue.ts";
export { download, type DownloadOptions } from "./src/models/hub/download.ts";
export type { DownloadProgress } from "./src/models/hub/progress.ts";
export { modelPath as resolveModel } from "./src/models/find.ts";
export { type MetadataValue, type ModelHeader, readHeader, type TensorInfo } from "./src/models/header.ts";
export {
  type CacheFolders,
  cacheFolders,
  listModels,
  type LocalModel,
  type LocalOptions,
  removeModel,
  type VerifiedFile,
  verifyModel,
  type VerifyOptions,
} from "./src/models/local.ts";
export { HubUnavailableError, LlamaError, type LlamaErrorCode, ModelNotFoundError } from "./ffi/errors.ts";
