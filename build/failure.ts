/** A build that cannot go on, in words for whoever started it; anything else that is thrown is a mistake of ours. */
export class BuildError extends Error {
  override readonly name = "BuildError";
}
