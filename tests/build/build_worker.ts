// What tests/build/build_test.ts runs in processes of their own: one build of a small CMake project through build/produce.ts.
// build_worker.ts DIRECTORY INPUTS [clean]: the project is DIRECTORY/project, everything else is made beside it.
import { join } from "node:path";
import process from "node:process";
import { BuildError } from "../../build/failure.ts";
import { produce } from "../../build/produce.ts";
import { run } from "../../build/run.ts";
import { generatorHere } from "../../build/toolchain.ts";

async function main([root = "", inputs, clean]: string[]): Promise<void> {
  const directory = join(root, "build");
  const built = await produce({
    lock: join(root, "lock"),
    directory,
    product: join(directory, "product"),
    destinations: [join(root, "out", "product")],
    inputs,
    clean: clean !== undefined,
    say: (line) => console.log(line),
    async make(signal) {
      console.log("making");
      const configure = ["cmake", "-S", join(root, "project"), "-B", directory, ...await generatorHere()];
      const commands = [configure, ["cmake", "--build", directory]];
      for (const command of commands) {
        const { code, output } = await run(command, { signal, onLine: (line) => console.log(line) });
        if (code !== 0) throw new BuildError(output);
      }
    },
    lockTimes: { renew: 50, stale: 3_000, poll: 20 },
  });
  console.log(built ? "built" : "nothing has changed");
}

main(process.argv.slice(2));
