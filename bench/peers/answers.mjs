/** How a contender on Node talks with the driver: it says that it is ready, then answers lines (CONTRIBUTING.md has them). */
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";

const WARM_TEXTS = 16;

/** What is to be done. */
export function readJob() {
  return { settings: {}, ...JSON.parse(readFileSync(process.argv[2], "utf8")) };
}

/**
 * Answers the driver until it hangs up.
 *
 * @param {object} job What was asked for.
 * @param {string} versions Of what is measured.
 * @param {(texts: string[]) => Promise<Float32Array[]>} run Gives vectors, or scores of one number each, in the texts' order.
 */
export async function serve(job, versions, run) {
  const { texts } = job;
  const load = performance.now() / 1000; // since the process started
  const step = Math.max(1, Math.floor(texts.length / WARM_TEXTS));
  await run(texts.filter((_, i) => i % step === 0));
  say({ load, versions });
  let rows;
  for await (const line of createInterface({ input: process.stdin })) {
    const [word, argument] = line.trim().split(" ");
    try {
      if (word === "go") {
        rows = undefined;
        const cpu = process.cpuUsage();
        const start = performance.now();
        rows = await run(texts);
        const seconds = (performance.now() - start) / 1000;
        const { user, system } = process.cpuUsage(cpu);
        say({ seconds, cpu: (user + system) / 1e6 });
      } else if (word === "one") {
        const seconds = [];
        for (let i = 0; i < Number(argument); i++) {
          const start = performance.now();
          await run([texts[i % texts.length]]);
          seconds.push((performance.now() - start) / 1000);
        }
        say({ seconds });
      } else if (word === "vectors") {
        rows ??= await run(texts);
        const bytes = Buffer.concat(
          rows.map(({ buffer, byteOffset, byteLength }) => Buffer.from(buffer, byteOffset, byteLength)),
        );
        writeFileSync(argument, bytes);
        say({ bytes: bytes.length });
      } else {
        say({ error: `${word} is no command` });
      }
    } catch (error) {
      say({ error: String(error) }); // it stays for the next command
    }
  }
  process.exit(0); // whatever threads a library has left
}

/** Makes a vector one of length 1, where it is. */
export function normalized(vector) {
  let sum = 0;
  for (const x of vector) sum += x * x;
  const scale = 1 / (Math.sqrt(sum) || 1);
  for (let i = 0; i < vector.length; i++) vector[i] *= scale;
  return vector;
}

/** The places of the texts, longest first. */
export function byLength(texts) {
  return texts.map((_, i) => i).sort((a, b) => texts[b].length - texts[a].length);
}

function say(answer) {
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
