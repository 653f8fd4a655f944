/** Says of a request what a log may have: numbers and names of the server's own, never a text. */
import type { Exchange } from "./exchange.ts";

/** A line of the log. */
export interface LogEntry {
  /** What happened. */
  readonly event: "request" | "load" | "unload" | "error" | "note";
  /** The request's id. */
  readonly id?: string;
  /** The trace id of `traceparent`. */
  readonly trace?: string;
  readonly route?: string;
  readonly status?: number;
  /** The kind of trouble. */
  readonly problem?: string;
  readonly model?: string;
  readonly texts?: number;
  readonly tokens?: number;
  /** Texts that were cut. */
  readonly truncated?: number;
  readonly cancelled?: boolean;
  /** Milliseconds of the whole, of tokenising, of waiting for the model and its passes, and of these. */
  readonly ms?: number;
  readonly tokenizeMs?: number;
  readonly queueMs?: number;
  readonly inferenceMs?: number;
  readonly message?: string;
}

/** A program's function for the log. What it throws is the program's own fault: that is told once, and costs nobody an answer. */
export function harmless(onLog: ((entry: LogEntry) => unknown) | undefined): (entry: LogEntry) => void {
  let isTold = false;
  const tell = (error: unknown): void => {
    if (isTold) return;
    isTold = true;
    console.warn("llamasaur: onLog failed (told once):", error);
  };
  return (entry) => {
    try {
      const logged = onLog?.(entry);
      if (logged instanceof Promise) logged.catch(tell);
    } catch (error) {
      tell(error);
    }
  };
}

/** The line of a request. */
export function entryOf(exchange: Exchange, id: string, status: number, problem: string | undefined): LogEntry {
  const { asked, route, model, texts, counted, cancelled } = exchange;
  const trace = /^[\da-f]{2}-([\da-f]{32})-/.exec(asked.headers.get("traceparent") ?? "")?.[1];
  return {
    event: "request",
    id,
    ...(trace !== undefined && { trace }),
    route,
    status,
    ...(problem !== undefined && { problem }),
    ...(model && { model: model.name, texts }),
    ...(counted && { tokens: counted.tokens, ...(counted.truncated > 0 && { truncated: counted.truncated }) }),
    ...(cancelled && { cancelled }),
    ms: tenths(performance.now() - exchange.start),
    ...(counted && {
      tokenizeMs: tenths(exchange.tokenizing),
      queueMs: tenths(exchange.loading + exchange.waiting),
      inferenceMs: tenths(exchange.computing),
    }),
  };
}

function tenths(milliseconds: number): number {
  return Math.round(milliseconds * 10) / 10;
}

/** The line as a person reads it. */
export function textOf(entry: LogEntry): string {
  const { event, ...rest } = entry;
  const words = Object.entries(rest).map(([name, value]) =>
    `${name}=${typeof value === "string" && /\s/.test(value) ? JSON.stringify(value) : value}`
  );
  return [event, ...words].join(" ");
}
