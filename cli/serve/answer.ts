/** Makes answers, before a runtime has them. */

type Content = Uint8Array<ArrayBuffer> | string | ReadableStream<Uint8Array> | null;

/** An answer: no `Response` yet, since node:http would have to take that apart again. */
export class Answer {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: Content;

  constructor(body: Content, headers: Record<string, string> = {}, status = 200) {
    this.body = body;
    this.headers = headers;
    this.status = status;
  }

  /** An answer of JSON. */
  static json(value: unknown, headers: Record<string, string> = {}, status = 200): Answer {
    return new Answer(JSON.stringify(value), { "content-type": "application/json", ...headers }, status);
  }

  /** A response as an answer. */
  static of({ body, headers, status }: Response): Answer {
    return new Answer(body, Object.fromEntries(headers), status);
  }

  /** The same without its body: what HEAD gets. */
  get head(): Answer {
    const { body, headers, status } = this;
    const length = typeof body === "string" ? new TextEncoder().encode(body).length : lengthOf(body);
    return new Answer(null, { ...headers, ...(length !== undefined && { "content-length": String(length) }) }, status);
  }

  /** As what `fetch` gives. */
  response(): Response {
    const { body, headers, status } = this;
    return new Response(body, { headers, status });
  }
}

function lengthOf(body: Uint8Array | ReadableStream | null): number | undefined {
  return body instanceof Uint8Array ? body.length : undefined;
}
