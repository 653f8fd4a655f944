// Tells whether tests are to be as large as they can be: `deno task slow` sets LLAMASAUR_SLOW=1, the gate does not.
import process from "node:process";

/** Whether this run may take long. */
export const slow: boolean = process.env["LLAMASAUR_SLOW"] === "1";
