/** Finds out why something does not run: looks at all that a vector needs, and says what mends each trouble. */
import type { Finding } from "../doctor/finding.ts";
import { EXIT } from "../failure.ts";
import type { ModelOptions } from "../model.ts";
import type { Session } from "../session.ts";
import { VERSION } from "../version.ts";
import type { Given, Verb } from "../verb.ts";

/** The options of `doctor`. */
export interface DoctorOptions extends ModelOptions {
  readonly json?: boolean;
}

/** The verb. */
export const verb: Verb<DoctorOptions> = {
  arguments: "",
  description:
    "Looks at the runtime, the library, devices, caches, the hub and a model, computes vectors and compares them with " +
    "stored ones. Each trouble has the command that mends it; exit code 1 if anything fails.",
  shared: ["model", "json"],
  options: [],
  examples: ["doctor", "doctor --model all-minilm-l6-v2 --json"],
  run,
};

async function run({ options, words }: Given<DoctorOptions>, session: Session): Promise<number> {
  const findings: Finding[] = [];
  const tell = async (...more: readonly Finding[]): Promise<void> => {
    findings.push(...more);
    for (const finding of options.json ? [] : more) await session.write(linesOf(finding));
  };
  const [machine, library, caches] = await Promise.all([
    import("../doctor/machine.ts"),
    import("../doctor/library.ts"),
    import("../doctor/caches.ts"),
  ]);
  await tell(machine.runtime(), machine.permissions(), await machine.system());
  const [found, devices] = await library.library(options.library);
  await tell(found, devices, ...await caches.caches(), await caches.hub(session.signal));
  if (found.state === "ok") {
    const [{ model }, { selfTest }] = await Promise.all([
      import("../doctor/model.ts"),
      import("../doctor/self_test.ts"),
    ]);
    await tell(await model(options, words, session), await selfTest(options.library));
  } else {
    const message = "there is no library to compute with";
    await tell(...["model", "self-test"].map((check): Finding => ({ check, state: "skipped", message })));
  }
  const failed = findings.filter(({ state }) => state === "failed");
  if (options.json) await session.json({ ok: failed.length === 0, llamasaur: VERSION, findings });
  else {session.say(
      failed.length === 0 ? "all is well" : `${failed.length} failed: ${failed.map(({ check }) => check).join(", ")}`,
    );}
  return failed.length === 0 ? EXIT.done : EXIT.failed;
}

const INDENT = " ".repeat(9);

function linesOf({ state, check, message, more = [], remedy }: Finding): string {
  const lines = [`${state.padEnd(8)} ${check}: ${message}`, ...more.map((line) => INDENT + line)];
  return [...lines, ...(remedy ? [`${INDENT}mend it: ${remedy}`] : [])].map((line) => `${line}\n`).join("");
}
