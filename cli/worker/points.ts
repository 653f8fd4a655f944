/** Names the moments between two steps of a job; tests end or stop a worker at each. */

/** A moment. */
export type Point =
  | "fetched"
  | "noted"
  | "read"
  | "computed"
  | "completed"
  | "written"
  | "committed";

let watch: ((point: Point) => Promise<void> | void) | undefined;

/** Calls a function at each moment from now on. */
export function watchPoints(reached: (point: Point) => Promise<void> | void): void {
  watch = reached;
}

/** Says that a moment is reached. */
export async function reach(point: Point): Promise<void> {
  await watch?.(point);
}
