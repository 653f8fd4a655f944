/** Tells of the jobs of `backfill`, and retries, pauses, resumes and cancels them. */
import { UsageError } from "../failure.ts";
import { quoted } from "../quote.ts";
import type { Session } from "../session.ts";
import { collected } from "../values.ts";
import type { Given, Verb } from "../verb.ts";
import type { JobsOptions } from "../worker/settings.ts";
import { DATABASE } from "./backfill.ts";

const ACTIONS = ["status", "failures", "retry", "pause", "resume", "cancel"];

/** The verb. */
export const verb: Verb<JobsOptions> = {
  arguments: "[action]",
  description:
    `One of ${ACTIONS.join(", ")}; status if nothing is said. Retry takes rows out of the failures and enqueues ` +
    "them again, and what the queue gave up on.",
  shared: ["json"],
  options: [
    DATABASE,
    { flags: "--into <name>", description: "those of this table of vectors (default: all)" },
    { flags: "--fingerprint <hash>", description: "those of this generation" },
    { flags: "--key <key>", description: "for retry: this row alone; repeatable", read: collected },
    { flags: "--no-rows", description: "for status: leaves out the rows, which take a scan" },
  ],
  examples: ["jobs status", "jobs retry --into docs_embeddings --key 17"],
  run,
};

async function run({ args, options }: Given<JobsOptions>, session: Session): Promise<void> {
  const [action = "status", more] = args;
  if (!ACTIONS.includes(action) || more !== undefined) {
    throw new UsageError(`Cannot run jobs ${quoted(more ?? action)}: it must be one of ${ACTIONS.join(", ")}`);
  }
  if (options.key && action !== "retry") throw new UsageError(`Cannot take --key with ${action}: it is for retry`);
  const { jobs } = await import("../worker/command.ts");
  await jobs(action, options, session);
}
