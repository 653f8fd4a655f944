/** Divides the memory limit among the models of a server. */

/** What is known of a model before it is loaded. */
export interface MemoryShare {
  /** Bytes of its file, which its weights take. */
  readonly size: number;
  /** Bytes that it may take at most by its own setting. */
  readonly own: number | undefined;
}

/**
 * The limit of each model, in bytes. A model keeps its own limit, and what these leave is divided among the other models: each
 * has room for its weights, and the rest in equal parts.
 *
 * @param whole Bytes for all of them; undefined is no limit.
 */
export function limitsOf(models: readonly MemoryShare[], whole: number | undefined): (number | undefined)[] {
  if (whole === undefined) return models.map(({ own }) => own);
  const others = models.filter(({ own }) => own === undefined);
  const taken = models.reduce((sum, { size, own }) => sum + (own ?? size), 0);
  return models.map(({ size, own }) => own ?? Math.max(1, Math.floor(size + (whole - taken) / others.length)));
}
