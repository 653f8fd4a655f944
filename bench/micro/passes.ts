// What a pass costs, and so how large a pack should be: `deno task bench:passes [options]`
//   --models LIST   GGUF files, or types of all-MiniLM-L6-v2 in models/ (default: f32,bf16,q8_0)
//   --rounds N      each pass's time is the least of as many (default: 5)
//   --smoke         few sizes and one round
// Runs passes of so many tokens in sequences of so many, on one lane of one thread, with and without our kernels, and
// fits by least squares: seconds = pass + token × tokens + mask × tokens² + pair × the sum of the sequences' squares.
// The last term is the same however texts are packed; the others say what `packLimits` of src/pool/plan.ts is to hold: the
// time of a token is least in packs of sqrt(pass / mask) tokens. Processor time, which others disturb least.
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { packageRoot } from "../../ffi/host/paths.ts";
import { Lane, type Model, type Native, open } from "../../ffi/mod.ts";
import { leastSquares } from "../least_squares.ts";
import { describeMachine } from "../machine.ts";
import { machineLine } from "../report.ts";

interface Size {
  readonly tokens: number;
  /** Tokens of each of its sequences. */
  readonly length: number;
}

interface Timed extends Size {
  readonly seconds: number;
}

const TOKENS = [8, 16, 32, 64, 128, 192, 256, 320, 384, 512, 768, 1024];
const LENGTHS = [8, 16, 64, 256];
const SEQUENCES = 128;
const SHORTEST = 0.05; // seconds of one measurement: a pass is repeated until then

const sizes = (smoke: boolean): Size[] =>
  TOKENS.flatMap((tokens) => LENGTHS.map((length) => ({ tokens, length })))
    .filter(({ tokens, length }) => tokens % length === 0 && tokens / length <= SEQUENCES)
    .filter(({ tokens }) => !smoke || [16, 64, 256, 512].includes(tokens));

/** The processor seconds of each size's pass. */
async function timePasses(native: Native, model: Model, kernels: boolean, smoke: boolean, rounds: number) {
  const lane = new Lane(native);
  try {
    const all = sizes(smoke);
    const tokens = Math.max(...all.map((size) => size.tokens));
    await lane.initContext(model, { tokens, sequences: SEQUENCES, threads: 1, pooling: "mean", kernels });
    const best = new Map<Size, number>();
    for (let round = 0; round <= rounds; round++) {
      for (const size of all) {
        const seconds = await timePass(lane, model, size);
        if (round > 0) best.set(size, Math.min(best.get(size) ?? Infinity, seconds)); // the first one warms
      }
    }
    return Array.from(best, ([size, seconds]): Timed => ({ ...size, seconds }));
  } finally {
    lane.close();
  }
}

async function timePass(lane: Lane, model: Model, { tokens: count, length }: Size): Promise<number> {
  const { dimensions, vocabularySize } = model.numbers;
  const tokens = Int32Array.from({ length: count }, (_, i) => i * 7919 % vocabularySize);
  const lengths = new Int32Array(count / length).fill(length);
  const rows = new Float32Array(lengths.length * dimensions);
  const start = process.cpuUsage();
  for (let passes = 1;; passes++) {
    await lane.encode({ tokens, lengths }, rows);
    const { user, system } = process.cpuUsage(start);
    if (user + system > SHORTEST * 1e6) return (user + system) / 1e6 / passes;
  }
}

/** The constants as a line, and each size's time a token beside what they say. */
function tell(name: string, timed: readonly Timed[]): void {
  // By parts of the time that was measured, since a short pass counts as much as a long one.
  const rows = timed.map(({ tokens, length, seconds }) =>
    [1, tokens, tokens ** 2, tokens * length].map((x) => x / seconds)
  );
  const [pass = 0, token = 0, mask = 0, pair = 0] = leastSquares(rows, timed.map(() => 1));
  const said = ({ tokens, length }: Size) => pass + token * tokens + mask * tokens ** 2 + pair * tokens * length;
  const off = Math.max(...timed.map((one) => Math.abs(said(one) / one.seconds - 1)));
  const us = (seconds: number) => (seconds * 1e6).toPrecision(3);
  console.log(`\n## ${name}\n`);
  console.log(
    `A pass ${us(pass)} µs, a token ${us(token)}, a cell of the mask ${us(mask)}, a pair ${us(pair)}; ` +
      `off by ${(off * 100).toFixed(0)} % at most. A pass costs as much as ${(pass / token).toFixed(1)} tokens; ` +
      `best pack by these: ${mask > 0 ? Math.sqrt(Math.max(0, pass) / mask).toFixed(0) : "the largest"} tokens.\n`,
  );
  console.log(`| µs a token: passes of | ${LENGTHS.map((length) => `texts of ${length}`).join(" | ")} |`);
  console.log(`| ---: |${" ---: |".repeat(LENGTHS.length)}`);
  for (const tokens of new Set(timed.map((size) => size.tokens))) {
    const cells = LENGTHS.map((length) => {
      const one = timed.find((size) => size.tokens === tokens && size.length === length);
      return one ? `${us(one.seconds / tokens)} (${us(said(one) / tokens)})` : "";
    });
    console.log(`| ${tokens} | ${cells.join(" | ")} |`);
  }
}

async function main(): Promise<void> {
  const { values: { models, rounds, smoke } } = parseArgs({
    options: {
      models: { type: "string", default: "f32,bf16,q8_0" },
      rounds: { type: "string", default: "5" },
      smoke: { type: "boolean", default: false },
    },
  });
  console.log(machineLine(describeMachine()));
  const native = await open();
  for (const name of models.split(",")) {
    const path = name.endsWith(".gguf")
      ? name
      : join(fileURLToPath(packageRoot()), "models", `all-minilm-l6-v2-${name}.gguf`);
    const loader = new Lane(native);
    const model = await loader.loadModel(path, { gpuLayers: 0, checkTensors: false, device: -1 }, {});
    try {
      for (const kernels of [true, false]) {
        const timed = await timePasses(native, model, kernels, smoke, smoke ? 1 : Number(rounds));
        tell(`${name}, kernels ${kernels ? "on" : "off"}`, timed);
      }
    } finally {
      model.close();
      loader.close();
    }
  }
}

if (import.meta.main) await main();
