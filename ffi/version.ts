/** The llama.cpp version that the shim and the table were written for; build/pin.ts pins its source. */
export const LLAMA_VERSION: string = "0.5.0";

/** This package's own version, as package.json and deno.json have it: a command in a message names it. */
export const VERSION: string = "0.1.0";
