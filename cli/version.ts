/** Holds the version of this package; a release raises it with those of deno.json and package.json. */
export const VERSION = "0.1.0";
