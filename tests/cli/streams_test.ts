import { test } from "node:test";
import { assertEquals, assertStringIncludes } from "@std/assert";
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import process from "node:process";
import { join } from "@std/path";
import { ROOT, startOf } from "../support/child.ts";
import { assertEnded, inPlace } from "../support/embed_place.ts";
import { writeJsonl } from "../support/jobs.ts";
import { noSignals, programOn, RUNTIME } from "../support/program.ts";
import { pythonWith } from "../support/python.ts";
import { libraryMissing as skip } from "../support/references.ts";

test("embed whose stderr is closed goes on to its end, and its exit code is the same", { skip }, async () => {
  await inPlace(async ({ embed, lines, write }) => {
    write("in.jsonl", '{"text":"one"}\nno JSON\n{"text":"two"}\n');
    const words = ["in.jsonl", "-", "-o", "out.jsonl", "--on-error", "skip", "--checkpoint", "1"];
    const ended = await embed(words, { closeStderr: true, stdin: "three\n" });
    assertEnded(ended, 4);
    assertEquals(lines("out.jsonl").map(({ id }) => id), ["-:1", "in.jsonl:1", "in.jsonl:3"]);
    const failed = await embed(["-", "-o", "stop.jsonl", "--input-format", "jsonl"], {
      closeStderr: true,
      stdin: "no JSON\n",
    });
    assertEnded(failed, 1);
  });
});

test("embed of stdin that fails ends, though more may come", { skip }, async () => {
  await inPlace(async ({ embed }) => {
    const stdinBegin = '{"text":"one"}\nno JSON\n{"text":"two"}\n';
    for (const more of [["-o", "out.jsonl"], []]) {
      const words = ["-", "--input-format", "jsonl", "--checkpoint", "1", ...more];
      const ended = await embed(words, { stdin: "open", stdinBegin });
      assertEnded(ended, 1);
      assertStringIncludes(ended.stderr, "Cannot embed -:2: it is no JSON");
      assertEquals(ended.stdout.split("\n").length, more.length > 0 ? 1 : 2);
    }
  });
});

test("embed to a reader that takes nothing ends at the first signal", { skip: skip || noSignals }, async () => {
  await inPlace(async ({ embed, path }) => {
    writeJsonl(path("in.jsonl"), 6000, 8); // more than any pipe holds
    const count = path("count");
    const env = { LLAMASAUR_TEST_COUNT: count };
    const ended = await embed(["in.jsonl", "--checkpoint", "50"], {
      faulty: true,
      env,
      holdStdout: true,
      onStart: (kill) => {
        let calls = ""; // once there are no more of them it waits
        const timer = setInterval(() => {
          const now = existsSync(count) ? readFileSync(count, "utf8") : "";
          const waits = now !== "" && now === calls;
          calls = now;
          if (!waits) return;
          clearInterval(timer);
          kill("SIGTERM");
        }, 1000);
      },
    });
    assertEnded(ended, 143);
  });
});

const found = process.platform === "linux" ? pythonWith("fcntl") : { lacks: "the size of a pipe is set on Linux only" };

test(
  "embed to a stdout that does not block waits while it is full, and a signal ends the wait",
  { skip: skip || ("lacks" in found && found.lacks) },
  async () => {
    await inPlace(async ({ embedHere, path, write }) => {
      const { python } = found as { readonly python: string };
      // Lines that a pipe takes together, and longer ones.
      const rows = Array.from(
        { length: 200 },
        (_, i) => ({ text: `text ${i}`, k: "x".repeat(i % 3 === 0 ? 9000 : i) }),
      );
      write("in.jsonl", rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
      const words = ["embed", "in.jsonl", "--keep", "k", "--checkpoint", "50"];
      const run = async (signal: string) => {
        const command = [...startOf(RUNTIME), ...programOn(RUNTIME).slice(1), ...words];
        const child = spawn(python, [join(ROOT, "tests", "support", "nonblocking.py"), signal, ...command], {
          cwd: path("."),
          env: { ...process.env, LLAMASAUR_MODEL: "tiny.gguf" },
          stdio: ["ignore", "pipe", "pipe"],
        });
        const code = new Promise<number | null>((resolve) => child.on("close", resolve));
        const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
        return { code: await code, signal: null, stdout, stderr };
      };
      const whole = await run("none");
      assertEnded(whole, 0);
      assertEquals(whole.stdout, (await embedHere(words.slice(1))).stdout);
      assertEnded(await run("SIGTERM"), 143);
    });
  },
);
