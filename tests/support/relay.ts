// Passes bytes on between programs and a server, and stops to, as a network does whose cable is cut: nobody hears of an end.
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** What stands between a server and who talks to it. */
export class Relay implements AsyncDisposable {
  readonly #server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  /** Whether new connections are passed on; else they are taken, and nothing comes. */
  passes = true;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Starts before the server of an address (of a socket's folder). */
  static async start(url: string): Promise<Relay> {
    const folder = decodeURIComponent(/@([^/]*)\//.exec(url)![1]!);
    const server = createServer((near) => {
      const far = connect(`${folder}/.s.PGSQL.5432`);
      for (const [from, to] of [[near, far], [far, near]] as const) {
        from.on("error", () => to.destroy()).on("close", () => to.destroy());
        if (relay.passes) from.on("data", (bytes) => to.write(bytes));
        else from.pause();
      }
      relay.#pairs.add([near, far]);
    });
    const relay = new Relay(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return relay;
  }

  /** Host and port. */
  get place(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The address of a database behind it. */
  url(base: string, settings: string = ""): string {
    return `${base.replace(/@[^/]*\//, `@${this.place}/`)}${settings}`;
  }

  /** Passes nothing on any more between those that are connected; neither is told. */
  mute(): void {
    for (const pair of this.#pairs) for (const one of pair) one.removeAllListeners("data").pause();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pair of this.#pairs) for (const one of pair) one.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}
