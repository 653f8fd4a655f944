/** The door of the boundary: what `src` may import of it. */
export { cores, type Device, devices, features, kernels } from "./devices.ts";
export { type ContextMemory, type ContextOptions, Lane, type LogLine, type Pass, type Tokens } from "./lane.ts";
export { Model, type ModelNumbers } from "./model.ts";
export { buildCommand } from "./host/paths.ts";
export type { Native } from "./native.ts";
export { checkRuntime, find, open } from "./open.ts";
export { abi, SPECIAL } from "./symbols.ts";
export { LLAMA_VERSION } from "./version.ts";
