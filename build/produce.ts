/** One build from start to end, whatever it is that is built: wait, look, make, note, publish. */
import { type LockTimes, withLock } from "../ffi/host/lock.ts";
import { interruptible } from "./interrupt.ts";
import { discard, isCurrent, publish, working, writeStamp } from "./workspace.ts";

/** What is to be there in the end. */
export interface Job {
  /** The lock that builds share. */
  readonly lock: string;
  /** The build's own directory. */
  readonly directory: string;
  /** The file that it makes, inside its directory. */
  readonly product: string;
  /** Where the file is copied to. */
  readonly destinations: readonly string[];
  /** A hash of all inputs, or undefined when they may have changed unseen: then it is always made. */
  readonly inputs: string | undefined;
  /** Throw away what an earlier build made. */
  readonly clean?: boolean;
  /** Makes the product. */
  readonly make: (signal: AbortSignal) => Promise<void>;
  /** Comes before the directory is touched: looks for tools and fetches. */
  readonly prepare?: (signal: AbortSignal) => Promise<void>;
  readonly say: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
  readonly lockTimes?: LockTimes;
}

/**
 * Does a job, unless it is done already.
 *
 * @returns Whether something was made.
 */
export async function produce(job: Job): Promise<boolean> {
  if (!job.clean && await deliver(job)) return false;
  return await interruptible((stop) => {
    const onWait = (pid: number): void => job.say(`waiting for another build (process ${pid}) to end`);
    const options = { signal: stop, onWait, times: job.lockTimes };
    return withLock(job.lock, (signal) => make(job, signal), options);
  }, job.signal);
}

async function make(job: Job, signal: AbortSignal): Promise<boolean> {
  if (!job.clean && await deliver(job)) return false; // whoever we waited for has made it
  await job.prepare?.(signal);
  if (job.clean) await discard(job.directory);
  const onLeftover = (): void => job.say(`an earlier build was killed in ${job.directory}: starting from nothing`);
  await working(job.directory, onLeftover, async () => {
    await job.make(signal);
    if (job.inputs !== undefined) await writeStamp(job.directory, job.product, job.inputs);
  });
  for (const destination of job.destinations) await publish(job.product, destination);
  return true;
}

/** Puts the product where it belongs if it is made already; false if it has to be made. */
async function deliver({ directory, product, inputs, destinations }: Job): Promise<boolean> {
  if (inputs === undefined || !(await isCurrent(directory, product, inputs))) return false;
  for (const destination of destinations) await publish(product, destination);
  return true;
}
