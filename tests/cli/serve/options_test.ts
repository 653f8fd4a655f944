import { test } from "node:test";
import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { createHandler } from "../../../cli/serve/mod.ts";
import type { HandlerOptions, ModelOptions } from "../../../cli/serve/mod.ts";

const MODEL: ModelOptions = { role: "embed", model: "nowhere.gguf", names: ["one"] };
const HANDLER: { readonly [K in keyof Required<HandlerOptions>]: HandlerOptions[K] } = {
  keys: ["secret"],
  loopback: true,
  allowHosts: ["example.com"],
  allowOrigins: ["https://example.com"],
  strictNames: true,
  truncate: "end",
  maxQueueTokens: 1,
  maxBatchSize: 1,
  maxBody: 1,
  timeout: 1,
  keepAlive: 1,
  onLog: () => {},
};
const OF_MODEL: { readonly [K in keyof Required<ModelOptions>]: ModelOptions[K] } = {
  ...MODEL,
  names: ["one"],
  queryPrompt: "q",
  documentPrompt: "d",
  dimensions: 1,
  load: {},
};

test("createHandler() takes every option there is, and one that is undefined as not given", async () => {
  const more = { nowhere: undefined } as HandlerOptions;
  await createHandler([OF_MODEL], { ...HANDLER, ...more }).close();
});

test("createHandler() refuses each option that is misspelt, by its name, with those that there are", () => {
  for (const name of Object.keys(HANDLER)) {
    for (const wrong of [`${name}x`, name.slice(1), name.toUpperCase()]) {
      const options = { [wrong]: HANDLER[name as keyof HandlerOptions] };
      const { message } = assertThrows(() => createHandler([MODEL], options), TypeError, `"${wrong}" is not known`);
      assertEquals(message.split(" the options are ")[1]!.split(", ").sort(), Object.keys(HANDLER).sort());
    }
  }
  for (const name of Object.keys(OF_MODEL)) {
    const model = { ...MODEL, [`${name}x`]: 1 };
    const { message } = assertThrows(() => createHandler([MODEL, model]), TypeError, `"${name}x" is not known`);
    assertStringIncludes(message, "Cannot read models[1]");
  }
});

test("createHandler() refuses a value that would do something else in silence", () => {
  for (
    const [name, value, words] of [
      ["maxBody", "64MB", "a number above 0"],
      ["maxQueueTokens", NaN, "a number above 0"],
      ["maxBatchSize", 0, "a number above 0"],
      ["timeout", "5s", "milliseconds from 1 to 2147483647"],
      ["timeout", 0, "milliseconds from 1"],
      ["timeout", 2 ** 31, "milliseconds from 1"], // a timer would end at once
      ["keepAlive", "5m", "milliseconds, at most 2147483647; undefined is without an end"],
      ["keepAlive", Infinity, "milliseconds, at most 2147483647"],
      ["truncate", "End", '"end", "start" or "error"'],
      ["loopback", "no", "true or false"],
      ["strictNames", 1, "true or false"],
      ["onLog", "log", "a function"],
    ] as const
  ) assertThrows(() => createHandler([MODEL], { [name]: value }), TypeError, `${name} must be ${words}`);
  for (const [name, value] of [["queryPrompt", 1], ["dimensions", "384"], ["names", "one"]] as const) {
    assertThrows(() => createHandler([{ ...MODEL, [name]: value }]), TypeError, `models[0]: ${name} must be`);
  }
});

test("createHandler() refuses a list that is none, and a role that there is not", () => {
  for (const name of ["keys", "allowHosts", "allowOrigins"]) {
    assertThrows(() => createHandler([MODEL], { [name]: "secret" }), TypeError, `${name} must be an array of strings`);
  }
  const role = "embd" as "embed";
  assertThrows(() => createHandler([{ ...MODEL, role }]), TypeError, 'role must be "embed" or "rerank"');
});

/** Never called: the compiler reads it with all tests (`deno check`). */
export function misspelt(): void {
  // @ts-expect-error at the option
  createHandler([MODEL], { key: ["secret"] });
  // @ts-expect-error at the option
  createHandler([{ role: "embed", model: "nowhere.gguf", name: ["one"] }]);
}
