/** The door of the boundary: what `src` may import of it. */
export { cores } from "./cores.ts";
export type { ContextMemory, ContextOptions } from "./context.ts";
export { type Device, devices } from "./devices.ts";
export { kernels } from "./kernels.ts";
export { Lane, type LogLine, SPECIAL, type Tokens } from "./lane.ts";
export { Model, type ModelNumbers } from "./model.ts";
export type { Native } from "./native.ts";
export { open } from "./open.ts";
export { LLAMA_VERSION } from "./version.ts";
