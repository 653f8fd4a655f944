// Start to first vector, as a user's program has it: `ours_first.ts MODEL TEXT`; without arguments, the runtime alone.
import process from "node:process";

const [model, text] = process.argv.slice(2);
if (model === undefined) {
  console.log(0);
} else {
  const { Llama } = await import("../mod.ts");
  await using llama = await Llama.load(model);
  const [first] = await llama.embed(text!);
  console.log(first);
}
