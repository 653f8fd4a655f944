import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { newest, signatureOf } from "../../packages/inspect.ts";

test("newest() compares versions part by part, however many they have", () => {
  assertEquals(newest(["2.2.5", "2.17", "2.3"]), "2.17");
  assertEquals(newest(["2.34", "2.3.4", "2.4"]), "2.34");
  assertEquals(newest(["2.3", "2.3.4"]), "2.3.4");
  assertEquals(newest([]), "");
});

/** A Mach-O file of one load command, whose signature has these flags and blobs. */
function signed(flags: number, certificates: number | undefined): Uint8Array {
  const view = new DataView(new ArrayBuffer(256));
  view.setUint32(16, 2, true); // load commands
  view.setUint32(32, 0x2, true);
  view.setUint32(36, 24, true);
  view.setUint32(56, 0x1d, true);
  view.setUint32(60, 16, true);
  view.setUint32(64, 128, true);
  view.setUint32(128, 0xfade0cc0);
  view.setUint32(136, certificates === undefined ? 1 : 2);
  view.setUint32(144, 40); // the code directory, in the signature
  view.setUint32(148, 0x10000);
  view.setUint32(152, 80);
  view.setUint32(168, 0xfade0c02);
  view.setUint32(180, flags);
  view.setUint32(212, certificates ?? 0);
  return new Uint8Array(view.buffer);
}

test("signatureOf() tells an ad-hoc signature from an identity's, and from none", () => {
  assertEquals(signatureOf(signed(0x20002, undefined)), "ad-hoc");
  assertEquals(signatureOf(signed(0x2, 8)), "ad-hoc");
  assertEquals(signatureOf(signed(0x10000, 4000)), "identity");
  assertEquals(signatureOf(signed(0x2, 4000)), "identity");
  const none = signed(0x2, undefined);
  none[56] = 0x1b;
  assertEquals(signatureOf(none), "none");
});
