import { test } from "node:test";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { existsSync, readFileSync } from "node:fs";
import { assertEnded, inPlace, parsed } from "../../support/embed_place.ts";
import { writeJsonl } from "../../support/jobs.ts";
import { type Given, noSignals } from "../../support/program.ts";
import { libraryMissing } from "../../support/references.ts";

const skip = libraryMissing || noSignals;

test(
  "embed ends at Ctrl-C with the command that goes on, and 130; SIGTERM is 143",
  { skip },
  async () => {
    await inPlace(async ({ embed, path, lines }) => {
      writeJsonl(path("in.jsonl"), 30_000, 8);
      const words = ["in.jsonl", "-o", "out.jsonl", "--checkpoint", "50"];
      const whenThere = (file: string, signal: "SIGINT" | "SIGTERM"): Given => ({
        onStart: (kill) => {
          const timer = setInterval(() => {
            if (!existsSync(path("out.jsonl.lock")) || !existsSync(path(file))) return;
            clearInterval(timer);
            kill(signal);
          }, 20);
        },
      });
      const ended = await embed(words, whenThere("out.jsonl.part", "SIGINT"));
      assertEnded(ended, 130);
      assertStringIncludes(ended.stderr, "To go on:\n\n  ");
      assertStringIncludes(ended.stderr, `main.ts embed ${words.join(" ")}\n`);
      assert(!existsSync(path("out.jsonl.lock")));
      assertEnded(await embed(words, whenThere("out.jsonl.lock", "SIGTERM")), 143);
      const waiting = await embed(["-", "-o", "stdin.jsonl"], {
        stdin: "open",
        onStderr: (text, kill) => void (text.includes("stdin cannot") && setTimeout(() => kill("SIGINT"), 300)),
      });
      assertEnded(waiting, 130);
      const short = parsed(readFileSync(path("out.jsonl.job"), "utf8")).length;
      assert(short < 600, "it was stopped before its end");
      assertEquals(lines("out.jsonl.part").length % 50, 0);
    });
  },
);

test(
  "embed ends at once at the second Ctrl-C, while the first waits for a call that does not end",
  { skip },
  async () => {
    await inPlace(async ({ embed, embedHere, path, lines }) => {
      writeJsonl(path("in.jsonl"), 200, 8);
      const words = ["in.jsonl", "-o", "out.jsonl", "--checkpoint", "50"];
      const said = (): string => existsSync(path("count")) ? readFileSync(path("count"), "utf8") : "";
      let timer: ReturnType<typeof setInterval> | undefined;
      const ended = await embed(words, {
        faulty: true,
        timeout: 30_000, // which is SIGKILL
        env: { LLAMASAUR_TEST_STUCK: "3", LLAMASAUR_TEST_COUNT: path("count") },
        onStart: (kill) => {
          let isFirst = true;
          timer = setInterval(() => {
            // The second one when the first was heard, and again, for what comes at once counts as the first one's echo.
            if (!said().includes(isFirst ? "stuck\n" : "told to stop\n")) return;
            kill("SIGINT");
            isFirst = false;
          }, 20);
        },
      });
      clearInterval(timer);
      assertEquals(said(), "50\n50\n50\nstuck\ntold to stop\n");
      assertEnded(ended, 130);
      assertEquals(ended.stderr, ""); // not even the command that goes on
      assert(existsSync(path("out.jsonl.lock")), "nothing was tidied up");
      const again = await embedHere(words);
      assertEnded(again, 0);
      assertStringIncludes(again.stderr, "going on after 100 texts");
      assertEquals(lines("out.jsonl").length, 200);
    });
  },
);
