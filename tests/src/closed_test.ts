// After close() nothing of a model is touched, whichever method asks and whoever calls close() in the middle.
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { Llama } from "../../mod.ts";
import { fixture } from "../support/checkpoint.ts";
import { libraryMissing } from "../support/references.ts";
import { CALLS, outcome } from "../support/watched_calls.ts";

const skip = libraryMissing;

test("every method of Llama after close() is a closed error", { skip }, async () => {
  // `activity` tells what was done, as `info` does what it is: also afterwards.
  const methods = Object.getOwnPropertyNames(Llama.prototype).filter((name) =>
    !["constructor", "activity"].includes(name)
  );
  assertEquals(methods.sort(), Object.keys(CALLS).sort()); // a new one is to be added here
  const llama = await Llama.load(fixture("families/modern_bert.gguf"));
  await llama.close();
  for (const [name, call] of Object.entries(CALLS)) {
    const found = await outcome(() => call(llama, (value) => value));
    assertEquals([name, found], [name, name === "close" ? "done" : "closed"]);
  }
  assert(llama.info.dimensions > 0);
  assertEquals(llama.activity.sequences, 0);
});

test("close() from inside of any call ends it or waits for it", { skip }, async () => {
  for (const [name, call] of Object.entries(CALLS)) {
    for (let at = 1; at <= 4; at++) {
      const llama = await Llama.load(fixture("families/modern_bert.gguf"));
      let closing: Promise<void> | undefined;
      let reads = 0;
      const found = await outcome(() =>
        call(llama, (value) => {
          if (++reads === at) closing ??= llama.close();
          return value;
        })
      );
      assert(found === "done" || found === "closed", `${name}, read ${at}: ${found}`);
      await (closing ?? llama.close());
    }
  }
});
