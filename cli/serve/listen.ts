/** Opens the socket on whichever runtime this is. */
import { Failure } from "../failure.ts";

/** A socket that listens. */
export interface Listener {
  readonly port: number;
  /** Takes no new connections; resolves when the running requests have ended. */
  stop(): Promise<void>;
  /** Ends all connections. */
  abort(): void;
}

type Fetch = (request: Request, delivery?: { readonly completed: Promise<void> }) => Promise<Response>;

interface DenoServer {
  readonly addr: { readonly port: number };
  shutdown(): Promise<void>;
}
interface BunServer {
  readonly port: number;
  stop(closeActive?: boolean): Promise<void>;
}
interface Runtimes {
  readonly Deno?: { serve(options: object, fetch: Fetch): DenoServer };
  readonly Bun?: { serve(options: object): BunServer };
}

const ANY_SIZE = 2 ** 40; // the handler has a limit of its own, with a message

/** Listens. */
export function listen(host: string, port: number, fetch: Fetch): Listener {
  const { Deno, Bun } = globalThis as unknown as Runtimes;
  try {
    return Deno ? onDeno(Deno, host, port, fetch) : onBun(Bun!, host, port, fetch);
  } catch (error) {
    const { message } = error as Error;
    throw new Failure(`Cannot listen on ${host}:${port}: ${message}; choose another with --port`);
  }
}

function onDeno({ serve }: NonNullable<Runtimes["Deno"]>, hostname: string, port: number, fetch: Fetch): Listener {
  const stop = new AbortController();
  const server = serve({ hostname, port, signal: stop.signal, onListen: () => {} }, fetch);
  let open = true;
  const shut = async (): Promise<void> => {
    await server.shutdown();
    open = false; // to abort it now would throw
  };
  return { port: server.addr.port, stop: shut, abort: () => void (open && stop.abort()) };
}

function onBun({ serve }: NonNullable<Runtimes["Bun"]>, hostname: string, port: number, fetch: Fetch): Listener {
  // A text may take longer than the ten seconds after which Bun ends a silent connection.
  const server = serve({ hostname, port, fetch, idleTimeout: 0, maxRequestBodySize: ANY_SIZE });
  return { port: server.port, stop: () => server.stop(), abort: () => void server.stop(true) };
}
