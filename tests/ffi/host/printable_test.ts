import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { LONGEST_QUOTE, printable } from "../../../ffi/host/printable.ts";

test("printable() writes what a terminal would act on as code points", () => {
  assertEquals(
    printable("a\x1b[2Jb\u009bc\nd\u202ee\ufefff\ud800"),
    "a\\u{1b}[2Jb\\u{9b}c\\u{a}d\\u{202e}e\\u{feff}f\\u{d800}",
  );
  assertEquals(printable("größer 大 😀"), "größer 大 😀");
});

test("printable() cuts a long text in its middle, and no character in two", () => {
  for (let length = LONGEST_QUOTE - 2; length < LONGEST_QUOTE + 40; length++) {
    const shown = printable("😀".repeat(length));
    assert(shown.length <= LONGEST_QUOTE && shown.startsWith("😀") && shown.endsWith("😀"), shown);
    assert(shown.replaceAll("😀", "").replace(/^\ufffd?…\ufffd?$/, "…") === "…", shown);
  }
});

test("printable() strikes a secret out, in any case and however it is encoded for a URL", () => {
  const secret = "hf_a+b";
  for (
    const text of [
      "hf_a+b",
      "x HF_A+B y",
      "hf_a%2Bb",
      "%68f_a%2bb",
      "%2568f_a%252bb",
      "hf_a+bhf_a+b",
      `${"İ".repeat(8)} hf_a+b`,
    ]
  ) {
    const shown = printable(text, secret);
    assert(shown.includes("***") && !/hf_a|%68f/i.test(shown), shown);
  }
  assertEquals(printable("hf_a", secret), "hf_a");
  assertEquals(printable("text", ""), "text");
});

test("printable() strikes a long secret out in JSON, HTML and base64, and without its last characters", () => {
  const secret = 'hf_AbCd/efGh<1234"5678&xyz';
  const forms = [
    secret.replaceAll("/", "\\/"),
    secret.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;"),
    secret.slice(0, -3),
    btoa(secret),
    btoa(`Bearer ${secret}`),
    btoa(`x:${secret}`),
  ];
  for (const form of forms) {
    const shown = printable(`the token ${form} is bad`, secret);
    assert(shown.includes("***"), shown);
    assert(!shown.includes(form.slice(12, 22)), shown);
  }
});
