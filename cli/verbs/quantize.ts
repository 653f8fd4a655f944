/** Makes the weights of a GGUF file smaller: `quantize()`, with a progress line. */
import type { Session } from "../session.ts";
import type { Given, Verb } from "../verb.ts";
import { type FileOptions, writeModel } from "./convert.ts";

/** The verb. */
export const verb: Verb<FileOptions> = {
  arguments: "<in> <out> <type>",
  description: "Makes a GGUF file with smaller weights, such as q8_0, of one with f32, f16 or bf16 weights.",
  shared: ["json"],
  options: [],
  examples: ["quantize minilm-f32.gguf minilm-q8_0.gguf q8_0", "quantize minilm-f32.gguf minilm-q4_k_m.gguf q4_k_m"],
  run,
};

async function run({ args: [input = "", out = "", type = ""], options }: Given<FileOptions>, session: Session) {
  const { quantize } = await import("@llamasaur/llamasaur/convert");
  const weights = type as Parameters<typeof quantize>[2]; // quantize() looks whether it is one
  await writeModel(input, out, options, session, (more) => quantize(input, out, weights, more));
}
