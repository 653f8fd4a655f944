import { test } from "node:test";
import { assertRejects } from "@std/assert";
import { pause, until } from "../../cli/pause.ts";

test("until() leaves no rejection behind where the signal came before, and the promise fails later", async () => {
  const late = new Promise<never>((_, reject) => setTimeout(reject, 1, new Error("late")));
  await assertRejects(() => until(late, AbortSignal.abort(new Error("stopped"))), Error, "stopped");
  await pause(20); // an unhandled rejection would fail this test
});
