/** The Rust crate llama_crab, which brings a llama.cpp of its own. */
import { cpSync } from "node:fs";
import { join } from "node:path";
import { run } from "../../build/run.ts";
import { generatorHere } from "../../build/toolchain.ts";
import { madeOnce, modelFor } from "../models.ts";
import type { Candidate, Peer } from "../peer.ts";
import { beside, keyed, lastWords } from "./install.ts";

const LIMIT = 15 * 60; // seconds of compiling

let program = "";

/** Texts packed into batches through its own types, several contexts of one model. */
export const LLAMA_CRAB: Peer = {
  name: "llama_crab",
  kinds: ["embed"],
  async prepare(portable): Promise<void> {
    if (portable) throw new Error("its build script compiles llama.cpp for this very processor");
    const directory = await madeOnce(keyed("llama-crab", "llama_crab/Cargo.toml", "llama_crab/main.rs"), build);
    program = join(directory, "llama-crab-contender");
  },
  candidates(workload: string, cores: number): readonly Candidate[] {
    if (!["titles", "paragraphs", "passages", "query", "many"].includes(workload)) return [];
    const ways = workload === "query" ? [[1, cores], [1, 1]] : [[cores, 1], [1, cores]];
    return (workload === "query" ? [256] : [256, 512]).flatMap((pack) =>
      ways.flatMap(([contexts, threads]) =>
        ["bf16", "q8_0", "f32"].map((type): Candidate => ({
          name: `${type}, packs of ${pack}, ${contexts} × ${threads}`,
          type,
          settings: { pack, contexts: contexts!, threads: threads! },
        }))
      )
    );
  },
  model: modelFor,
  command: (jobPath) => [program, jobPath],
};

async function build(directory: string): Promise<void> {
  const source = join(directory, "source");
  cpSync(beside("llama_crab"), source, { recursive: true });
  // its build script takes the processor's own instructions only if this is set
  const variables = ["CARGO_CFG_TARGET_CPU=native"];
  const [flag, generator] = await generatorHere();
  if (flag === "-G") variables.push(`CMAKE_GENERATOR=${generator}`); // that build script calls CMake
  const command = ["env", ...variables, "cargo", "build", "--release", "--quiet"];
  const { code, output } = await run(command, { cwd: source, timeout: LIMIT });
  if (code !== 0) throw new Error(`cargo build failed${code === null ? ` in ${LIMIT} s` : ""}: ${lastWords(output)}`);
  cpSync(join(source, "target", "release", "llama-crab-contender"), join(directory, "llama-crab-contender"));
}
