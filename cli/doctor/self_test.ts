/** Computes vectors of a tiny model that it makes, and compares them with stored ones: whether this machine computes right. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { commandLine } from "../program.ts";
import { type Finding, wordsOf } from "./finding.ts";
import { writeCheckpoint } from "./tiny_model.ts";

/** Computed in float64 from the weights alone: tests/cli/doctor/reference.ts. */
export const VECTORS: readonly (readonly [text: string, vector: readonly number[]])[] = [
  [
    "the cat sleeps in the old house",
    [
      -0.0463264,
      -0.0584424,
      0.0895197,
      -0.0996679,
      0.0509749,
      -0.1784636,
      -0.022582,
      -0.0417295,
      -0.1585081,
      0.0310133,
      -0.0548099,
      -0.0536707,
      -0.1813786,
      -0.0027197,
      -0.2624396,
      0.1765964,
      0.0700936,
      -0.0340784,
      0.0123626,
      0.1230876,
      0.1203436,
      -0.0415967,
      0.1298404,
      -0.1189686,
      -0.145125,
      -0.2371607,
      0.1235453,
      -0.0317577,
      0.0035452,
      -0.0724854,
      0.0794844,
      0.2149477,
      0.086114,
      -0.0220843,
      0.0671593,
      0.1430518,
      0.0461145,
      -0.0377939,
      -0.126071,
      -0.1664645,
      0.1251633,
      0.1043854,
      -0.1279527,
      0.0337924,
      0.0095022,
      0.1861991,
      0.0047425,
      0.1205487,
      0.2842173,
      0.0654244,
      -0.1211686,
      0.0068083,
      0.0176303,
      0.2937149,
      0.1623118,
      -0.1475053,
      -0.1692463,
      0.0506893,
      -0.1328292,
      0.1289013,
      -0.0218914,
      -0.2448873,
      -0.0655424,
      0.1295007,
    ],
  ],
  [
    "no one knows where the river is deep",
    [
      -0.1266979,
      0.0016123,
      0.093156,
      -0.0310773,
      0.0481978,
      -0.1825936,
      -0.0784312,
      -0.0706447,
      -0.1524798,
      0.0257739,
      -0.0581851,
      -0.0083479,
      -0.1704468,
      0.0230202,
      -0.304204,
      0.1700949,
      0.0416919,
      -0.0387861,
      0.0708965,
      0.1412347,
      0.1735184,
      -0.0721965,
      0.1561751,
      -0.1254502,
      -0.1177777,
      -0.1599465,
      0.0598046,
      0.0608374,
      0.0532873,
      -0.0675069,
      -0.0001707,
      0.1432872,
      0.1482722,
      0.0188821,
      0.0259858,
      0.165619,
      0.0873533,
      -0.0376319,
      -0.0741754,
      -0.1908859,
      0.1462643,
      -0.0019194,
      -0.1558299,
      0.0477937,
      -0.0487573,
      0.0912154,
      -0.0284342,
      0.135534,
      0.2919723,
      0.1362483,
      -0.1250769,
      -0.0154011,
      -0.0431799,
      0.2344402,
      0.150745,
      -0.2236161,
      -0.1248021,
      0.0838294,
      -0.1024569,
      0.1335274,
      -0.0192091,
      -0.2402645,
      -0.0646027,
      0.1703729,
    ],
  ],
  [
    "bread and water",
    [
      -0.1004096,
      -0.0314165,
      -0.0042817,
      -0.0517706,
      0.0918613,
      -0.1705027,
      -0.0198388,
      -0.1064646,
      -0.1289063,
      0.0134728,
      -0.0166561,
      -0.0969662,
      -0.1325497,
      -0.0428646,
      -0.1736823,
      0.1704624,
      0.1892668,
      0.0158966,
      -0.014384,
      0.1734775,
      0.1665781,
      -0.0494482,
      0.0818894,
      -0.1149925,
      -0.1872787,
      -0.2476373,
      0.1368429,
      0.0133086,
      -0.0129334,
      -0.1054138,
      0.0917015,
      0.2106753,
      0.0968967,
      -0.0605681,
      0.0209132,
      -0.0038681,
      0.0224986,
      0.025093,
      -0.1094092,
      -0.1216154,
      0.1238209,
      0.0673539,
      -0.0651137,
      0.0271956,
      -0.0478652,
      0.1194647,
      -0.0959635,
      0.1635891,
      0.1691818,
      0.0757147,
      -0.0888087,
      -0.0134815,
      0.0518767,
      0.3936091,
      0.1738746,
      -0.1579601,
      -0.1480703,
      0.1328585,
      -0.1891408,
      0.1231123,
      -0.0007157,
      -0.2435348,
      -0.0504163,
      0.0981933,
    ],
  ],
];

/** How far each type of weights may be off: f32 by rounding, q8_0 by its 8 bits. */
export const LIMITS = { f32: 1e-5, q8_0: 2e-2 } as const;

/** Embeds the stored texts with the tiny model, in both types of weights, and tells the largest difference. */
export async function selfTest(library: string | undefined): Promise<Finding> {
  const check = "self-test";
  let folder: string;
  try {
    folder = await mkdtemp(join(tmpdir(), "llamasaur-doctor-"));
  } catch (error) {
    return { check, state: "skipped", message: `no folder for its model: ${wordsOf(error)}` };
  }
  try {
    await writeCheckpoint(folder);
    const maxAbs = { f32: await farthest(folder, "f32", library), q8_0: await farthest(folder, "q8_0", library) };
    const types = Object.entries(maxAbs) as [keyof typeof LIMITS, number][];
    const right = types.every(([type, off]) => off <= LIMITS[type]);
    const words = types.map(([type, off]) => `${off.toExponential(1)} in ${type} (at most ${LIMITS[type]})`);
    const message = `${VECTORS.length} stored vectors, max abs ${words.join(", ")}`;
    const details = { maxAbs, limits: LIMITS };
    if (right) return { check, state: "ok", message, details };
    return {
      check,
      state: "failed",
      message: `wrong numbers: ${message}`,
      remedy: commandLine(["build", "--clean"]),
      details,
    };
  } catch (error) {
    const message = wordsOf(error);
    if ((error as NodeJS.ErrnoException).syscall) {
      return { check, state: "skipped", message: `no room for its model: ${message}` };
    }
    return { check, state: "failed", message, remedy: commandLine(["build", "--clean"]) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function farthest(folder: string, type: keyof typeof LIMITS, library: string | undefined): Promise<number> {
  const [{ Llama }, { convert }] = await Promise.all([
    import("@llamasaur/llamasaur"),
    import("@llamasaur/llamasaur/convert"),
  ]);
  const path = join(folder, `${type}.gguf`);
  await convert(folder, path, { type, pooling: "mean", library });
  await using llama = await Llama.load(path, { library, onLog: () => {} });
  const vectors = await llama.embed(VECTORS.map(([text]) => text));
  const off = VECTORS.flatMap(([, wanted], i) => wanted.map((value, j) => Math.abs(value - vectors[i]![j]!)));
  return off.reduce((most, value) => value > most ? value : Number.isNaN(value) ? Infinity : most, 0);
}
