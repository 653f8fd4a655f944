/** Runs a verb: reads its options with commander, hears signals, and makes an exit code of whatever it ends with. */
import process from "node:process";
import { Command, CommanderError, Option } from "commander";
import { endingOf, EXIT, UsageError } from "./failure.ts";
import { MODEL_OPTIONS } from "./model.ts";
import { commandLine } from "./program.ts";
import { quoted } from "./quote.ts";
import { Interrupted, paint, Session, writeError, writeOut } from "./session.ts";
import { mayRead, variable } from "./values.ts";
import type { Given, Shared, Verb, VerbOption } from "./verb.ts";

/** Verbs by name, each by how to load it. */
export type Verbs = ReadonlyMap<string, () => Promise<{ readonly verb: Verb<never> }>>;

const SHARED: Readonly<Record<Shared, readonly VerbOption[]>> = {
  model: MODEL_OPTIONS,
  json: [{ flags: "--json", description: "print JSON" }],
};

const QUIET: VerbOption = { flags: "--quiet", description: "say nothing but errors" };

/**
 * Runs a verb of a command, and tells of the error that it ends with.
 *
 * @param words What follows the program's name.
 * @param verbs The verbs, by how to load them.
 * @returns The exit code.
 */
export async function run(words: readonly string[], verbs: Verbs): Promise<number> {
  process.stdout.on("error", ({ code, message }: NodeJS.ErrnoException) => {
    if (code === "EPIPE") process.exit(EXIT.done); // a reader that has seen enough (`| head`): that is no failure
    writeError(`${paint("error:", 31)} Cannot write to stdout: ${message}\n`);
    process.exit(EXIT.failed);
  });
  process.stderr.on("error", () => {}); // nobody hears it any more, and a job goes on without
  return await runVerb(words, verbs).catch((error) => tell(error, words));
}

async function runVerb(words: readonly string[], verbs: Verbs): Promise<number> {
  const [name = "", ...rest] = words;
  const load = verbs.get(name);
  if (load === undefined) {
    const wrong = name.startsWith("-") ? `Cannot read ${quoted(name)} before a verb` : `Cannot run ${quoted(name)}`;
    throw new UsageError(
      `${wrong}: ${meant(name, verbs)}the verbs are ${[...verbs.keys()].join(", ")}; ${
        commandLine(["--help"])
      } tells what they do`,
    );
  }
  const { verb } = await load();
  const command = commandOf(name, verb);
  command.parse([...rest], { from: "user" });
  const given: Given<never> = { args: argumentsOf(command), options: command.opts<never>(), words };
  const session = new Session(command.opts<{ quiet?: boolean }>().quiet === true);
  session.listen();
  try {
    return await verb.run(given, session) ?? EXIT.done;
  } catch (error) {
    if (!session.signal.aborted) throw error;
    const told = error instanceof Interrupted ? error : session.signal.reason as Interrupted;
    if (told.message !== "") session.say(told.message);
    return told.code;
  } finally {
    session.close();
  }
}

/** What was probably meant by a verb that there is not, as commander finds it; "" where nothing is near. */
function meant(name: string, verbs: Verbs): string {
  const all = new Command().exitOverride().configureOutput({ writeErr: () => {} });
  for (const verb of verbs.keys()) all.command(verb);
  try {
    all.parse(["--", name], { from: "user" });
  } catch (error) {
    const [, near] = /\(Did you mean (?:one of )?(.+)\?\)/.exec((error as Error).message) ?? [];
    if (near !== undefined) return `did you mean ${near}? `;
  }
  return "";
}

/** commander's command for a verb: strict, and it throws where it would exit. */
function commandOf(name: string, verb: Verb<never>): Command {
  const command = new Command(`llamasaur ${name}`).description(verb.description).exitOverride();
  if (verb.arguments !== "") command.arguments(verb.arguments);
  for (const option of [...verb.options, ...verb.shared.flatMap((shared) => SHARED[shared]), QUIET]) {
    const one = optionOf(option);
    command.addOption(one);
    const on = isOn(option);
    if (on !== undefined) command.setOptionValueWithSource(one.attributeName(), on !== one.negate, "env");
  }
  if (verb.passThrough) command.allowUnknownOption().allowExcessArguments();
  const examples = verb.examples.map((example) => `  llamasaur ${example}`).join("\n");
  return command.helpOption("-h, --help", "print this").addHelpText("after", `\nExamples:\n${examples}`)
    .showSuggestionAfterError().configureOutput({ writeOut, writeErr: () => {} }); // main tells of errors
}

function optionOf({ flags, description, choices, default: standard, read, env, mayBeEmpty }: VerbOption): Option {
  const ofSwitch = env !== undefined && isSwitch(flags);
  const option = new Option(flags, ofSwitch ? `${description} (env: ${env})` : description);
  if (choices) option.choices(choices);
  if (standard !== undefined) option.default(standard);
  if (read) option.argParser(read);
  const saysSomething = env && mayRead(env) && (mayBeEmpty || variable(env) !== "");
  if (saysSomething && !ofSwitch) option.env(env);
  return option;
}

/** Whether the variable of a switch is on; commander takes any value for "on". Undefined where it says nothing. */
function isOn({ flags, env }: VerbOption): boolean | undefined {
  const value = env === undefined || !isSwitch(flags) ? undefined : variable(env);
  if (value === undefined || value === "") return undefined;
  if (/^(1|true|yes|on)$/i.test(value)) return true;
  if (/^(0|false|no|off)$/i.test(value)) return false;
  throw new UsageError(`Cannot read ${env} ${quoted(value)}: it must be 1 or 0`);
}

function isSwitch(flags: string): boolean {
  return !/[<[]/.test(flags);
}

/** The arguments as they were given; commander has undefined for one that was not. */
function argumentsOf(command: Command): string[] {
  return command.processedArgs.flat().filter((argument): argument is string => typeof argument === "string");
}

/** Tells of an error, and gives the exit code. */
function tell(error: unknown, words: readonly string[]): number {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return EXIT.done; // --help
    writeError(`${paint("error:", 31)} ${error.message.replace(/^error: |\.$/g, "")}${helpOf(words)}\n`);
    return EXIT.usage;
  }
  const { code, message } = endingOf(error, words);
  writeError(`${paint("error:", 31)} ${message}\n`);
  return code;
}

/** Where it says what a verb takes, behind what commander says of an option or argument that it does not. */
function helpOf([verb = ""]: readonly string[]): string {
  return `; ${commandLine([verb, "--help"])} tells what it takes`;
}
