// The engine alone, for jobs.ts: embeds the texts of a JSONL file by embedStream, and keeps nothing.
import { readFileSync } from "node:fs";
import process from "node:process";
import { Llama } from "../../mod.ts";

const [model = "", path = ""] = process.argv.slice(2);
const texts = readFileSync(path, "utf8").trim().split("\n").map((line): string => JSON.parse(line).text);
await using llama = await Llama.load(model);
let count = 0;
for await (const _ of llama.embedStream(texts)) count++;
if (count !== texts.length) throw new Error(`${count} vectors of ${texts.length} texts`);
