import { test } from "node:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { assert, assertEquals } from "@std/assert";
import { cores, open } from "../../../ffi/mod.ts";
import { inDirectory } from "../../support/checkpoint.ts";
import { libraryMissing } from "../../support/references.ts";

type Files = Readonly<Record<string, string>>;

/** What cores() says of a Linux machine with these files. */
async function coresOf(files: Files): Promise<number> {
  const native = await open();
  let count = 0;
  await inDirectory((root) => {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text);
    }
    count = cores(native, root);
  });
  return count;
}

const status = (list: string): Files => ({
  "proc/self/status": `Name:\tdeno\nCpus_allowed:\tff\nCpus_allowed_list:\t${list}\nMems_allowed_list:\t0\n`,
});

/** Processors of which each two are one core, as Linux numbers them: i and i + n. */
function topology(cores: number, file = "core_cpus_list"): Files {
  const processors = Array.from({ length: 2 * cores }, (_, i) => i);
  return Object.fromEntries(processors.map((i) => [
    `sys/devices/system/cpu/cpu${i}/topology/${file}`,
    `${i % cores},${i % cores + cores}\n`,
  ]));
}

const cpuinfo = (ids: readonly (readonly [number, number])[]): Files => ({
  "proc/cpuinfo": ids.map(([physical, core], i) =>
    `processor\t: ${i}\nmodel name\t: a CPU\nphysical id\t: ${physical}\nsiblings\t: 2\ncore id\t\t: ${core}\ncpu cores\t: 2\n\n`
  ).join(""),
});

const four = { ...status("0-7"), ...topology(4) };

const MACHINES: readonly (readonly [what: string, files: Files, cores: number])[] = [
  ["counts two threads of a core once", four, 4],
  ["reads the older name of the list", { ...status("0-7"), ...topology(4, "thread_siblings_list") }, 4],
  ["counts the cores of the allowed processors only", { ...four, ...status("0,2,4") }, 2],
  ["takes /proc/cpuinfo where /sys is hidden", { ...status("0-3"), ...cpuinfo([[0, 0], [0, 0], [0, 1], [1, 0]]) }, 3],
  ["counts only allowed ones in /proc/cpuinfo, too", { ...status("0-1"), ...cpuinfo([[0, 0], [0, 0], [0, 1]]) }, 1],
  ["takes processors for cores where nothing says which are", { ...status("0-2,5") }, 4],
  ["is 1 of a machine that says nothing", {}, 1],
  [
    "is 1 of files of nonsense",
    { ...status("none"), "proc/self/cgroup": "nonsense\n::\n", "proc/cpuinfo": "\n\n\n" },
    1,
  ],
  ["obeys a group of version 2", {
    ...four,
    "proc/self/cgroup": "0::/a.slice/b\n",
    "sys/fs/cgroup/a.slice/b/cpu.max": "200000 100000\n",
  }, 2],
  ["obeys the least quota of a group and those above it", {
    ...four,
    "proc/self/cgroup": "0::/a.slice/b\n",
    "sys/fs/cgroup/a.slice/b/cpu.max": "300000 100000\n",
    "sys/fs/cgroup/a.slice/cpu.max": "100000 100000\n",
    "sys/fs/cgroup/cpu.max": "max 100000\n",
  }, 1],
  ["rounds a quota up", { ...four, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n" }, 2],
  ["takes less than a core for one", {
    ...four,
    "proc/self/cgroup": "0::/\n",
    "sys/fs/cgroup/cpu.max": "5000 100000\n",
  }, 1],
  ["knows that max is no limit", { ...four, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n" }, 4],
  ["finds the top where the path is the host's", {
    ...four,
    "proc/self/cgroup": "0::/docker/0123\n",
    "sys/fs/cgroup/cpu.max": "100000 50000\n",
  }, 2],
  ["obeys a group of version 1", {
    ...four,
    "proc/self/cgroup": "9:memory:/m\n4:cpu,cpuacct:/docker/0123\n",
    "sys/fs/cgroup/cpu,cpuacct/docker/0123/cpu.cfs_quota_us": "300000\n",
    "sys/fs/cgroup/cpu,cpuacct/docker/0123/cpu.cfs_period_us": "100000\n",
  }, 3],
  ["finds version 1 by its short name, and at the top", {
    ...four,
    "proc/self/cgroup": "4:cpu,cpuacct:/docker/0123\n",
    "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000\n",
    "sys/fs/cgroup/cpu/cpu.cfs_period_us": "50000\n",
  }, 1],
  ["knows that −1 is no limit", {
    ...four,
    "proc/self/cgroup": "1:cpu:/\n",
    "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
    "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
  }, 4],
];

for (const [what, files, expected] of MACHINES) {
  test(`cores() ${what}`, { skip: libraryMissing }, async () => assertEquals(await coresOf(files), expected));
}

test("cores() of this machine is at least 1, and no more than the system lets run at once", {
  skip: libraryMissing,
}, async () => {
  const count = cores(await open());
  console.log(`${count} cores, ${availableParallelism()} processors`);
  assert(count >= 1 && count <= availableParallelism());
});
