/** Says once what is served and where, with the settings of Open WebUI to copy. */
import { originOf } from "./listen.ts";
import type { ModelSettings, Settings } from "./settings.ts";

/**
 * The banner.
 *
 * @param listed The names that clients can choose, those with a prompt among them.
 */
export function banner(
  { models, host, keys, lazy }: Settings,
  port: number,
  listed: readonly string[],
): string {
  const url = originOf(host, port);
  const of = (role: string): readonly ModelSettings[] => models.filter((model) => model.role === role);
  const prompts = ({ names: [name] }: ModelSettings): string => {
    const known = listed.filter((one) => one === `${name}@query` || one === `${name}@document`);
    if (known.length > 0) return `known: ${known.join(", ")}`;
    return lazy ? "not known before the first request" : "not known: --query-prompt, --document-prompt";
  };
  const lines = [`llamasaur serves ${url}`];
  // This address is for listening alone: in a container it is the container.
  if (host === "0.0.0.0" || host === "::") {
    lines.push(`  others  reach it by a name of this machine, in place of ${host}`);
  }
  for (const role of ["embed", "rerank"]) {
    for (const model of of(role)) {
      lines.push(
        `  ${role.padEnd(7)} ${model.names.join(", ")}${role === "embed" ? `  (prompts ${prompts(model)})` : ""}`,
      );
    }
  }
  lines.push(`  keys    ${keys.length === 0 ? "none needed" : `${keys.length}, as Authorization: Bearer KEY`}`);
  lines.push("Open WebUI, Admin Settings, Documents:");
  const [embedder, reranker] = [of("embed")[0], of("rerank")[0]];
  if (embedder) lines.push(`  Embedding Model Engine  OpenAI, URL ${url}/v1, model ${embedder.names[0]}`);
  if (reranker) lines.push(`  Reranking Engine        External, URL ${url}/v1/rerank, model ${reranker.names[0]}`);
  return lines.join("\n");
}
