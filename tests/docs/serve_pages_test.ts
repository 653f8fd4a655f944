// The pages and files of the server say what the program has: options, routes, the schema and the files of deploy/.
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createHandler } from "../../cli/serve/mod.ts";
import { configSchema } from "../../cli/serve/settings.ts";
import { verb } from "../../cli/verbs/serve.ts";
import { blocksOf, readPage, userPages } from "../../scripts/docs/pages.ts";
import { ROOT } from "../support/child.ts";
import { runProgram } from "../support/program.ts";

const options = new Set(verb.options.flatMap(({ flags }) => flags.match(/--[\w-]+/g) ?? []));
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");

test("docs/serve.schema.json is the schema of --config", () => {
  assertEquals(JSON.parse(read("docs/serve.schema.json")), JSON.parse(JSON.stringify(configSchema())));
});

test("each line of llamasaur serve in the pages and in deploy/ has options that there are", () => {
  const lines = [
    ...userPages(ROOT).flatMap((page) => blocksOf(page, readPage(ROOT, page)).flatMap(({ code }) => code.split("\n"))),
    ...["deploy/Dockerfile", "deploy/compose.yaml", "deploy/llamasaur.service"].flatMap((path) =>
      read(path).split("\n")
    ),
  ].filter((line) => /llamasaur serve |^ExecStart|^ENTRYPOINT|^CMD|^ +(command|args): |docker run/.test(line));
  assert(lines.length > 10, `${lines.length} lines`);
  for (const line of lines) {
    const [, ours = line] = /(?:llamasaur serve |docker run .* llamasaur )(.*)/.exec(line) ?? [];
    for (const word of ours.match(/--[a-z][\w-]*/g) ?? []) {
      assert(options.has(word) || word === "--help", `${word}: ${line}`);
    }
  }
});

test("what deploy/ and docs/deployment.md start gets its models, into a place that stays", () => {
  const files = ["deploy/compose.yaml", "deploy/llamasaur.service", "docs/deployment.md"].map(read);
  const starts = files.flatMap((file) => file.split("\n")).filter((line) =>
    /^ExecStart=|^ +(command|args): |docker run/.test(line)
  );
  assertEquals(starts.length, 4);
  for (const line of starts) assert(line.includes("--download"), line);
  const [compose, unit, page] = files;
  assert(/^ +- models:\/models$/m.test(compose!) && /^CacheDirectory=llamasaur$/m.test(unit!));
  assert(/name: models, mountPath: \/models/.test(page!) && /name: models, persistentVolumeClaim/.test(page!));
  // The unit's ExecStart finds the program where the page puts it.
  assert(/install -m 755 dist\/llamasaur \/usr\/local\/bin\//.test(page!));
});

test("docs/server.md names every route of /openapi.json", async () => {
  const handler = createHandler([{ role: "embed", model: "none.gguf" }]);
  const response = await handler.fetch(new Request("http://localhost/openapi.json"));
  const { paths } = await response.json() as { paths: Record<string, unknown> };
  await handler.close();
  const page = read("docs/server.md");
  assert(Object.keys(paths).length >= 18);
  for (const path of Object.keys(paths)) {
    const written = path.replace("{id}", "ID");
    assert(page.includes(`\`${written}\``) || page.includes(` ${written}\``), `${path} is not in docs/server.md`);
  }
});

test("deploy/serve.json is what --config takes", async () => {
  const { code, stdout, stderr } = await runProgram(["serve", "--config", "deploy/serve.json", "--print-config"]);
  assertEquals(code, 0, stderr);
  assertEquals(JSON.parse(stdout).models.length, 2);
});
