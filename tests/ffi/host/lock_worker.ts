// What tests/ffi/host/lock_test.ts runs in processes of their own: holds a lock, prints "in", and writes PATH.out at the end.
// lock_worker.ts PATH MILLISECONDS
import { writeFileSync } from "node:fs";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { withLock } from "../../../ffi/host/lock.ts";

async function main([path = "", milliseconds]: string[]): Promise<void> {
  await withLock(path, async () => {
    console.log("in");
    await sleep(Number(milliseconds));
    writeFileSync(`${path}.out`, "");
  }, { times: { renew: 20, stale: 1_500, poll: 10 } });
}

main(process.argv.slice(2));
