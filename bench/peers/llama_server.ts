/** llama-server, which is sent many texts a request and several requests at once. */
import { modelFor } from "../models.ts";
import type { Candidate, Peer } from "../peer.ts";
import { beside } from "./install.ts";
import { buildServer } from "./llama_server_build.ts";

let program = "";

/** One server of many threads, or servers of one thread each that share the requests. */
export const LLAMA_SERVER: Peer = {
  name: "llama-server",
  kinds: ["embed", "rerank"],
  async prepare(portable): Promise<void> {
    program = await buildServer(portable);
  },
  candidates,
  model: modelFor,
  command: (jobPath) => ["python3", beside("llama_server.py"), jobPath, program],
};

function candidates(workload: string, cores: number): readonly Candidate[] {
  if (workload === "yes-no") return []; // its /rerank needs a classification head
  const types = workload === "causal" ? ["q4_k_m"] : ["bf16", "q8_0"];
  return grid(workload, cores).flatMap((settings) =>
    types.map((type): Candidate => {
      const { servers, threads, slots, ubatch, batch, requests } = settings;
      const name = `${type}, ${servers} × ${threads}, -np ${slots} -ub ${ubatch}, ${requests} × ${batch} texts`;
      return { name, type, settings };
    })
  );
}

/** The likeliest first: the search may run out of time. A server refuses a text of more tokens than -ub. */
function grid(workload: string, cores: number): Record<string, number>[] {
  if (workload === "query") {
    return [cores, 1].map((threads) => ({ servers: 1, threads, slots: 1, ubatch: 512, batch: 1, requests: 1 }));
  }
  const ways = cores === 1 ? [[1, 1]] : [[cores, 1], [1, cores]];
  return [[8, 512], [16, 512], [8, 256], [32, 512], [32, 1024]].flatMap(([slots, ubatch]) =>
    ways.map(([servers, threads]) => ({
      ...{ servers: servers!, threads: threads!, slots: slots!, ubatch: ubatch! },
      ...{ batch: 16, requests: 2 },
    }))
  );
}
