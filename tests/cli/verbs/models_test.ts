import { test } from "node:test";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "@std/path";
import { catalogue } from "../../../models.ts";
import { inDirectory } from "../../support/checkpoint.ts";
import { ROOT } from "../../support/child.ts";
import { HubServer } from "../../support/hub_server.ts";
import { canLink } from "../../support/lend.ts";
import { type Ended, PROGRAM, runProgram } from "../../support/program.ts";
import { runHere } from "../../support/run_here.ts";

const FILE = readFileSync(join(ROOT, "tests", "fixtures", "families", "bert_mean.gguf"));
const NAME = "hf:owner/repo/model.gguf";

/** A model that was pulled from a hub, and a folder of models. */
interface Pulled {
  readonly path: string;
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  /** Runs `models …` within this process. */
  models(...words: string[]): Promise<Ended>;
}

/** Runs with a hub that has a model, which was pulled. */
async function withModel(run: (pulled: Pulled) => Promise<void>): Promise<void> {
  await using hub = await HubServer.start({ "owner/repo/model.gguf": FILE });
  await inDirectory(async (directory) => {
    const folder = join(directory, "folder");
    mkdirSync(folder);
    const env = { HF_ENDPOINT: hub.endpoint, HF_HUB_CACHE: join(directory, "hub"), LLAMASAUR_MODELS: folder };
    const path = (await runHere(["pull", NAME], { env })).stdout.trim();
    await run({ path, folder, env, models: (...words) => runHere(["models", ...words], { env }) });
  });
}

test("llamasaur models lists what is here and the catalogue, with size, type, verified or not, and where", async () => {
  await withModel(async ({ path, env, models }) => {
    const { code, stdout, stderr } = await runProgram(["models"], { env });
    assertEquals([code, stderr], [
      0,
      `1 here, ${Math.round(FILE.length / 1000)} kB; ${PROGRAM} pull MODEL gets another one\n`,
    ]);
    assertMatch(stdout, /^MODEL +KIND +SIZE +TYPE +RESULTS +WHERE\n/);
    assertStringIncludes(stdout, path);
    const rows = (await models("ls", "--json")).stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
    assertEquals(rows[0], {
      model: NAME,
      kind: null,
      here: true,
      size: FILE.length,
      type: "f32",
      verified: false,
      path,
    });
    assertEquals(rows.slice(1).map(({ model }) => model), Object.keys(catalogue));
    const { "bge-m3": { size } } = catalogue;
    assertEquals(rows.find(({ model }) => model === "bge-m3"), {
      model: "bge-m3",
      kind: "embedding",
      here: false,
      size,
      type: "q8_0",
      verified: false,
      path: null,
    });
    assertEquals((await models("path", NAME)).stdout, `${path}\n`);
    const none = await models("path", "./none.gguf");
    assertEquals(none.code, 3);
    assertStringIncludes(none.stderr, "none.gguf: there is no such file\n");
    const json = JSON.parse((await models("path", NAME, "--json")).stdout);
    assertEquals(json, { model: NAME, path, size: FILE.length });
  });
});

test(
  "llamasaur models verify tells wrong bytes with what mends them, and exit code 1",
  { skip: !canLink },
  async () => {
    await withModel(async ({ path, folder, models }) => {
      const right = await models("verify");
      assertEquals([right.code, right.stderr], [0, ""]);
      assertMatch(right.stdout, /^right {2}\S+model\.gguf {2}[0-9a-f]{64}\n$/);
      copyFileSync(path, join(folder, "own.gguf")); // nobody knows what it should be
      const changed = Uint8Array.from(FILE);
      changed[5000]! ^= 1;
      writeFileSync(path, changed);
      const { code, stdout, stderr } = await models("verify", NAME, "--json");
      assertEquals(code, 1);
      const row = JSON.parse(stdout);
      assertEquals([row.model, row.state, row.path, row.found === row.expected], [NAME, "wrong", path, false]);
      assertStringIncludes(stderr, `${PROGRAM} models rm ${NAME} --yes && ${PROGRAM} pull ${NAME}`);
      const states = (await models("verify", "--json")).stdout.trimEnd().split("\n").map((line) =>
        JSON.parse(line).state
      );
      assertEquals(states.sort(), ["unknown", "wrong"]);
      const told = await models("verify", join(folder, "own.gguf"));
      assertEquals([told.code, told.stdout.startsWith("?  ")], [0, true]);
      assertStringIncludes(told.stderr, "?: the hub told no hash of these");
    });
  },
);

test("llamasaur models rm removes with --yes, and does not where it cannot ask", async () => {
  await withModel(async ({ path, env, models }) => {
    const asked = await runProgram(["models", "rm", NAME], { env });
    assertEquals([asked.code, asked.stdout, existsSync(path)], [2, "", true]);
    assertStringIncludes(asked.stderr, "give --yes");
    const none = await models("rm", "bge-m3", "--yes");
    assertEquals([none.code, none.stdout], [3, ""]);
    assertStringIncludes(none.stderr, 'Cannot remove "bge-m3": it is not here');
    const gone = await models("rm", NAME, "--yes", "--json");
    assertEquals([gone.code, JSON.parse(gone.stdout)], [0, { model: NAME, path, size: FILE.length }]);
    assert(!existsSync(path));
  });
});

test("llamasaur models tells of wrong use, and of a model that is not here", async () => {
  await inDirectory(async (directory) => {
    const env = { HF_HUB_CACHE: directory, LLAMASAUR_MODELS: directory };
    for (
      const [words, exit, told] of [
        [["list"], 2, "it is one of ls, path, verify, rm"],
        [["ls", "bge-m3"], 2, "models ls takes no model"],
        [["path"], 2, "takes one model"],
        [["rm"], 2, "models rm takes models"],
        [["path", "bge-m3"], 3, "pull bge-m3"],
        [["path", "none/none.gguf"], 3, "none/none.gguf"],
        [["verify", "bge-m3"], 3, "pull bge-m3"],
      ] as const
    ) {
      const { code, stdout, stderr } = await runHere(["models", ...words], { env });
      assertEquals([code, stdout], [exit, ""], `${words.join(" ")}: ${stderr}`);
      assertStringIncludes(stderr, told);
    }
  });
});
