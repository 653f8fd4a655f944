/** Works: takes jobs of its models' generations, computes them, and writes the vectors, until it is told to stop. */
import { hostname } from "node:os";
import process from "node:process";
import type { Llama } from "@llamasaur/llamasaur";
import { Collector } from "../collector.ts";
import { Failure, UsageError } from "../failure.ts";
import { loadModel, modelName } from "../model.ts";
import { pause } from "../pause.ts";
import { count, duration } from "../progress.ts";
import type { Session } from "../session.ts";
import { commandLine } from "../program.ts";
import { toWrite } from "./catalogue.ts";
import { type Claim, claim, end, type Ending, giveBack, MOST_TRIES, note, touch } from "./claim.ts";
import { compute, type Computed } from "./compute.ts";
import { codeOf, Database, isOfDatabase, isPassing, isRefusal, outside, told } from "./database.ts";
import { halved, isToHalve, remainder } from "./halve.ts";
import { Measures, serveMeasures } from "./measures.ts";
import { Patience } from "./patience.ts";
import { reach } from "./points.ts";
import { type Boss, HEARTBEAT, sendBackLost, SHORTEST_HEARTBEAT, startBoss } from "./queue.ts";
import { rowsOfJob } from "./rows.ts";
import { check, checkMade, type Served, Serving } from "./serving.ts";
import type { WorkerOptions } from "./settings.ts";
import { Places, Rate, Turns } from "./turns.ts";
import { type Outcome, write } from "./write.ts";

const GRACE = 30_000;
const GIVE_UP = 600_000;
/** Milliseconds between two looks for a job where there was none. */
const IDLE = 2000;
/** Milliseconds between two looks for lost jobs, while there is work. */
const WATCH = 2500;
/** What the database may refuse because of how it is set up, and not because of a row: rights, names. */
const OF_SETUP = /^(42|0A)/;

/** Reason of an abort: another worker has the job. */
const GONE = Symbol("the job is another worker's");
/** Reason of an abort: it was told to stop, and its grace is over. */
const OVER = Symbol("the grace is over");

/** Works. Returns when it was told to stop, or when nothing is left to do. */
export async function work(options: WorkerOptions, session: Session): Promise<void> {
  const names = options.model?.length ? options.model : [modelName({})];
  const hard = new AbortController();
  const database = Database.open(options.database, 4 + 2 * options.concurrency);
  const say = (line: string): void => session.say(line);
  const patience = new Patience(database.place, options.giveUp ?? GIVE_UP, hard.signal, say);
  const models: Llama[] = [];
  using collector = await Collector.open();
  session.signal.addEventListener(
    "abort",
    () => void pause(options.grace ?? GRACE, hard.signal).then(() => hard.abort(OVER)),
  );
  let boss: Boss | undefined;
  try {
    await patience.until(async () => checkMade(database, await toWrite(database)));
    for (const name of names) models.push(await loadModel(name, { ...options, model: name }, session));
    const serving = new Serving(models);
    await patience.until(() => serving.look(database));
    boss = await patience.until(() => startBoss(database, false));
    const measures = new Measures(models, patience);
    const worker = new Worker({ options, database, boss, serving, patience, measures, session, hard, collector });
    await using _listener = await serveMeasures(options, measures, session);
    if (serving.count === 0) {
      say(await patience.until(() => serving.whyIdle(database)) + (options.stopWhenEmpty ? "" : "; waiting"));
    }
    await worker.run();
    say(worker.summary);
  } catch (error) {
    if (error === OVER || session.signal.aborted && error === session.signal.reason) return; // told to stop, and has
    throw wrongUse(database.place, error) ?? error;
  } finally {
    hard.abort();
    await boss?.stop({ close: false, graceful: false }).catch(() => {});
    const closed = await Promise.allSettled([...models, database].map((one) => one.close()));
    for (const one of closed) if (one.status === "rejected") session.warn(`Cannot close: ${one.reason}`);
  }
}

/** What is told where the database is not set up for this worker; undefined for another error. */
function wrongUse(place: string, error: unknown): Error | undefined {
  if (!isOfDatabase(error) || isPassing(error)) return undefined;
  return outside(place, error) ?? new UsageError(
    `Cannot work: the database refused a statement (${told(error)}); docs/worker.md lists the rights that are needed`,
    { cause: error },
  );
}

interface Parts {
  readonly options: WorkerOptions;
  readonly database: Database;
  readonly boss: Boss;
  readonly serving: Serving;
  readonly patience: Patience;
  readonly measures: Measures;
  readonly session: Session;
  /** Ends what is under way. */
  readonly hard: AbortController;
  readonly collector: Collector;
}

/** A claim that is kept: its heart beats until it is let go. */
interface Kept {
  /** Aborted when the job is another worker's, or when all ends. */
  readonly signal: AbortSignal;
  /** Beats as this worker's heartbeat asks, which the database knows now. */
  noted(): void;
  letGo(): void;
}

class Worker {
  readonly #parts: Parts;
  readonly #name = `${hostname()}:${process.pid}:${crypto.randomUUID().slice(0, 8)}`;
  readonly #heartbeat: number;
  readonly #turns = new Turns();
  readonly #places: Places;
  readonly #rate: Rate;
  #looking: Promise<unknown> = Promise.resolve();
  /** Jobs that the database was away for when they were to be given back. */
  readonly #owed = new Map<Claim, Ending>();
  #isEmpty = false;
  /** Jobs that this worker has. */
  #held = 0;
  /** Whether somebody had a job, or could have one, at the last look. */
  #isOpen = true;
  /** How many jobs have ended: one that does while somebody looks for the next would not wake whoever goes to sleep then. */
  #changes = 0;
  /** Ends the sleep of whoever looks for a job: one of this worker's has ended, or it is to stop. */
  #wake: () => void = () => {};
  readonly #start = performance.now();

  constructor(parts: Parts) {
    this.#parts = parts;
    const { heartbeat, concurrency, rate } = parts.options;
    this.#heartbeat = heartbeat === undefined ? HEARTBEAT : Math.ceil(heartbeat / 1000);
    this.#places = new Places(concurrency);
    this.#rate = new Rate(rate);
  }

  /** What it did, in a line. */
  get summary(): string {
    const { texts, failures, jobs } = this.#parts.measures;
    const seconds = (performance.now() - this.#start) / 1000;
    const failed = failures > 0 ? `, ${count(failures)} failed` : "";
    return `${count(texts)} texts in ${count(jobs)} jobs${failed} (${duration(seconds)}, ${
      count(texts / seconds)
    } texts/s)`;
  }

  get #stopping(): boolean {
    return this.#isEmpty || this.#parts.session.signal.aborted || this.#parts.hard.signal.aborted;
  }

  /** Works until it is told to stop. One loop more than texts are computed at once reads the next job meanwhile. */
  async run(): Promise<void> {
    const { options, hard, session } = this.#parts;
    session.signal.addEventListener("abort", () => this.#wake());
    const ends = new AbortController();
    const watching = this.#watch(ends.signal);
    const loops = Array.from({ length: options.concurrency + 1 }, () => this.#loop());
    const ended = await Promise.allSettled(loops.map((loop) =>
      loop.catch((error) => {
        hard.abort(error); // the others give back what they have
        this.#wake();
        throw error;
      })
    ));
    ends.abort();
    await watching;
    await this.#settle().catch(() => {}); // away still: the heartbeat gives the jobs back
    const reasons = ended.flatMap((one) => one.status === "rejected" ? [one.reason] : []);
    if (reasons.length > 0) throw reasons.find((reason) => reason !== OVER) ?? OVER;
  }

  /** Looks for lost jobs. Without work there are none, and nothing is asked. */
  async #watch(ends: AbortSignal): Promise<void> {
    const { database, boss, session } = this.#parts;
    let isTold = false;
    const failed = (error: unknown): void => {
      if (isTold || isPassing(error)) return; // away: whoever looks for jobs tells
      isTold = true;
      session.say(
        `cannot look for the jobs of workers that died (${
          told(error)
        }): another worker has to; docs/worker.md lists the rights that are needed`,
      );
    };
    while (!ends.aborted) {
      if (this.#held > 0 || this.#isOpen) await sendBackLost(database, boss).catch(failed);
      await pause(WATCH * (0.75 + Math.random() / 2), ends);
    }
  }

  async #loop(): Promise<void> {
    while (!this.#stopping) {
      const looking = this.#looking.then(() => this.#next()); // one looks at a time
      this.#looking = looking.catch(() => {});
      const next = await looking;
      if (next) await this.#do(next.claim, next.llama);
      this.#parts.collector.collect();
    }
  }

  /** The next job; undefined when it is time to stop. Waits while there is none. */
  async #next(): Promise<{ readonly claim: Claim; readonly llama: Llama } | undefined> {
    const { database, boss, serving, patience, options } = this.#parts;
    while (!this.#stopping) {
      const changes = this.#changes;
      let served: Served | undefined;
      const claimed = await patience.until(async () => {
        const { ready, open } = await serving.look(database);
        [served, this.#isOpen] = [ready, open];
        await this.#settle();
        if (!open && options.stopWhenEmpty) this.#isEmpty = true;
        return ready && await claim(database, boss, ready.generation);
      });
      if (claimed) return { claim: claimed, llama: served!.llama };
      if (!served && !this.#isEmpty && changes === this.#changes) await this.#sleep(IDLE * (0.75 + Math.random() / 2));
    }
    return undefined;
  }

  async #sleep(milliseconds: number): Promise<void> {
    if (this.#stopping) return;
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    await pause(milliseconds, woken.signal);
  }

  /** Does a job, or gives it back. */
  async #do(claim: Claim, llama: Llama): Promise<void> {
    const { database, patience, measures } = this.#parts;
    this.#held++;
    const kept = this.#keep(claim);
    const release = await this.#turns.take(claim.isSuspect);
    try {
      if (this.#stopping) return await this.#giveBack(claim, "void");
      if (!await patience.until(() => note(database, claim, this.#name, this.#heartbeat))) return;
      kept.noted();
      const outcome = isToHalve(claim)
        ? await patience.until(() => halved(database, claim))
        : await this.#compute(claim, llama, kept.signal);
      const became = await this.#write(claim, outcome);
      if (became === "refused") return await this.#giveBack(claim, "refused");
      if (became === "gone") return await patience.until(() => end(database, claim, "claim gone"));
      measures.ended(outcome);
      this.#tell(claim, outcome);
    } catch (error) {
      await this.#failed(claim, kept, error);
    } finally {
      this.#held--;
      kept.letGo();
      release();
      this.#changes++;
      this.#wake();
    }
  }

  async #compute(claim: Claim, llama: Llama, signal: AbortSignal): Promise<Outcome> {
    const { database, patience, measures } = this.#parts;
    const { rows, next } = await patience.until(() => rowsOfJob(database, claim));
    await reach("read");
    const free = await this.#places.take();
    try {
      const parts: Computed[] = [];
      for await (const part of this.#rate.parts(rows, signal)) {
        const start = performance.now();
        parts.push(await compute(llama, claim.generation.options, part, signal));
        measures.computed((performance.now() - start) / 1000);
      }
      await reach("computed");
      const [computed, failures] = [parts.flatMap(({ rows }) => rows), parts.flatMap(({ failures }) => failures)];
      return { rows: computed, failures, ending: "done", jobs: remainder(claim, next) };
    } finally {
      free();
    }
  }

  /** Writes what a job made. @returns What became of the job; `gone` is another's. */
  async #write(claim: Claim, outcome: Outcome): Promise<"written" | "gone" | "refused"> {
    const { database, boss, patience, session } = this.#parts;
    try {
      return await patience.until(() => write(database, boss, claim, outcome)) ? "written" : "gone";
    } catch (error) {
      if (!isRefusal(error) || outcome.ending === "halved") throw error; // no smaller job would help
      // A trigger or a policy has the same codes for a single row; what is wrong for every job is told by name.
      if (OF_SETUP.test(codeOf(error))) await patience.until(() => check(database, [claim.generation]));
      session.say(`the database refused a job of ${count(claim.rows)} rows (${told(error)})`);
      return "refused";
    }
  }

  /**
   * Beats until the claim is let go, three times before it would be another's. Until it is noted, that is after the heartbeat of
   * whoever noted it last, which may be the shortest.
   */
  #keep(claim: Claim): Kept {
    const gone = new AbortController();
    const beat = (): void => {
      void touch(this.#parts.boss, claim).then((isOurs) => isOurs || gone.abort(GONE), () => {}); // away: the next beat tells
    };
    let timer = setInterval(beat, SHORTEST_HEARTBEAT * 1000 / 3);
    return {
      signal: AbortSignal.any([gone.signal, this.#parts.hard.signal]),
      noted: () => {
        clearInterval(timer);
        timer = setInterval(beat, this.#heartbeat * 1000 / 3);
      },
      letGo: () => clearInterval(timer),
    };
  }

  /** What becomes of a job that was not done. */
  async #failed(claim: Claim, { signal }: Kept, error: unknown): Promise<void> {
    const { database, boss, patience, hard } = this.#parts;
    if (signal.aborted && signal.reason === GONE) {
      return await patience.until(() => end(database, claim, "claim gone"));
    }
    if (hard.signal.aborted) return await this.#giveBack(claim, "given back");
    if (error instanceof Failure || error instanceof UsageError || isOfDatabase(error)) { // it would be so with any job
      await this.#giveBack(claim, "given back");
      throw error;
    }
    // The model failed, and this worker ends: its attempt stays open, as if the process had died on it.
    await boss.fail(claim.generation.queue, claim.attempt).catch(() => {});
    throw error;
  }

  /** Gives a job back. A database that is away has it back by the heartbeat; that no worker died on it is told later. */
  async #giveBack(claim: Claim, ending: Ending): Promise<void> {
    await giveBack(this.#parts.database, this.#parts.boss, claim, ending).catch((error) => {
      if (!isPassing(error)) throw error;
      this.#owed.set(claim, ending);
    });
  }

  /** Gives back what could not be while the database was away. */
  async #settle(): Promise<void> {
    for (const [claim, ending] of this.#owed) {
      await giveBack(this.#parts.database, this.#parts.boss, claim, ending);
      this.#owed.delete(claim);
    }
  }

  #tell({ rows, losses }: Claim, { ending, failures, jobs }: Outcome): void {
    const { session } = this.#parts;
    if (ending === "halved" && jobs.length > 0) {
      const reason = losses >= MOST_TRIES ? `ended ${losses} workers` : "was refused by the database";
      session.say(`a job of ${count(rows)} rows ${reason}: it is halved`);
    }
    if (failures.length > 0) {
      const codes = Map.groupBy(failures, ({ code }) => code).entries().map(([code, of]) => `${of.length} ${code}`);
      session.say(
        `${count(failures.length)} rows failed: ${codes.toArray().join(", ")}; ${
          commandLine(["jobs", "failures"])
        } lists them`,
      );
    }
  }
}
