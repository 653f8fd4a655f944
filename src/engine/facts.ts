/** Holds what is asked of a model and its file to tell whether it is exact. */
import type { LoadOptions, Pooling } from "../options.ts";
import type { Reranker } from "./info.ts";

/** What exactness depends on. */
export interface Facts {
  /** llama.cpp's name of the architecture. */
  readonly architecture: string;
  /** The file's metadata. */
  readonly meta: (key: string) => string | undefined;
  readonly hasTensor: (name: string) => boolean;
  /** Whether texts get BOS and EOS. */
  readonly addBos: boolean;
  readonly addEos: boolean;
  readonly pooling: Pooling;
  readonly reranker: Reranker;
  readonly causal: boolean;
  /** Whether somebody said so: the file, the option, the architecture or the model's name. */
  readonly causalSaid: boolean;
  /** Whether template and answers are this model's own, of a causal model that ranks. */
  readonly asksItsOwn: boolean;
  readonly hasTemplate: boolean;
  readonly options: Pick<LoadOptions, "pooling" | "addBos" | "addEos">;
}
