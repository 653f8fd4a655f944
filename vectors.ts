/**
 * Compare and shrink vectors, anywhere: this entry loads no other code and runs in a browser, too.
 *
 * @example
 * ```ts
 * import { hamming, toBinary } from "@llamasaur/llamasaur/vectors";
 *
 * console.log(hamming(toBinary([0.2, -0.1]), toBinary([0.2, 0.1]))); // 1
 * ```
 *
 * @module
 */
export { cosineSimilarity, dot, hamming, type Match, toBinary, toInt8, topK } from "./src/vectors.ts";
