/** The llama.cpp version that the shim and the table were written for; build/pin.ts pins its source. */
export const LLAMA_VERSION: string = "0.5.0";
