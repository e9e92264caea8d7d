// A small client for the conformance cases: one request, one answer, as they are on the wire; and a
// watch that is read event by event. It judges nothing and repeats nothing.
import { Agent, request } from 'undici';

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

export type Answer = {
  readonly code: number;
  readonly body: JsonObject;
  readonly warnings: readonly string[];
  readonly contentType: string;
};

export type AskOptions = {
  readonly type?: string;
  readonly accept?: string;
  /** Sent as it is, instead of a body as JSON. */
  readonly raw?: string;
  readonly token?: string;
};

export type WatchEvent = { readonly type: string; readonly object: JsonObject };

export type ApiTarget = {
  readonly url: string;
  readonly token: string;
  /** The embedded server; false: a real one. */
  readonly isEmbedded: boolean;
  /** A revision that the server no longer knows the changes since. */
  readonly forgottenRevision: string;
  readonly stop: () => Promise<void>;
};

const eventTimeoutMs = 10_000;

export const mergeType = 'application/merge-patch+json';
export const strategicType = 'application/strategic-merge-patch+json';
export const jsonPatchType = 'application/json-patch+json';
export const applyType = 'application/apply-patch+yaml';
export const tableAccept = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json';

export class ApiClient {
  readonly #target: ApiTarget;
  readonly #agent = new Agent({ connect: { rejectUnauthorized: false } });

  constructor(target: ApiTarget) {
    this.#target = target;
  }

  get isEmbedded(): boolean {
    return this.#target.isEmbedded;
  }

  get forgottenRevision(): string {
    return this.#target.forgottenRevision;
  }

  async ask(method: string, path: string, body?: Json, options: AskOptions = {}): Promise<Answer> {
    const text = options.raw ?? (body === undefined ? undefined : JSON.stringify(body));
    const answer = await request(this.#target.url + path, {
      dispatcher: this.#agent,
      method: method as 'GET',
      headers: {
        authorization: `Bearer ${options.token ?? this.#target.token}`,
        accept: options.accept ?? 'application/json',
        ...(text === undefined ? {} : { 'content-type': options.type ?? 'application/json' }),
      },
      ...(text === undefined ? {} : { body: text }),
    });
    const received = await answer.body.text();
    const warning = answer.headers['warning'] ?? [];
    return {
      code: answer.statusCode,
      body: parsed(received),
      warnings: Array.isArray(warning) ? warning : [warning],
      contentType: String(answer.headers['content-type'] ?? ''),
    };
  }

  get(path: string, options?: AskOptions): Promise<Answer> {
    return this.ask('GET', path, undefined, options);
  }

  /** Creates, and fails the test when that does not work. */
  async create(path: string, body: Json): Promise<JsonObject> {
    const answer = await this.ask('POST', path, body);
    if (answer.code !== 201) {
      throw new Error(`POST ${path}: ${answer.code} ${JSON.stringify(answer.body)}`);
    }
    return answer.body;
  }

  async watch(path: string): Promise<WatchStream> {
    const abort = new AbortController();
    const answer = await request(this.#target.url + path, {
      dispatcher: this.#agent,
      method: 'GET',
      headers: { authorization: `Bearer ${this.#target.token}`, accept: 'application/json' },
      signal: abort.signal,
      bodyTimeout: 0,
    });
    return new WatchStream(answer.statusCode, answer.body, abort);
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }
}

function parsed(text: string): JsonObject {
  try {
    const value = JSON.parse(text) as Json;
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : { value };
  } catch {
    // Plain text, as /healthz answers.
    return { text };
  }
}

export class WatchStream {
  readonly code: number;
  readonly #events: WatchEvent[] = [];
  readonly #abort: AbortController;
  #wake: (() => void) | undefined;
  #isEnded = false;

  constructor(code: number, body: AsyncIterable<Uint8Array>, abort: AbortController) {
    this.code = code;
    this.#abort = abort;
    void this.#read(body);
  }

  /** The next event; `undefined` when the stream has ended. */
  async next(): Promise<WatchEvent | undefined> {
    const event = this.#events.shift();
    if (event !== undefined) return event;
    if (this.#isEnded) return undefined;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error('no event in time')), eventTimeoutMs);
    });
    const more = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    await Promise.race([more, late]).finally(() => clearTimeout(timer));
    return this.next();
  }

  /** Events up to and with the first that `isLast` says yes to. */
  async until(isLast: (event: WatchEvent) => boolean): Promise<readonly WatchEvent[]> {
    const seen: WatchEvent[] = [];
    for (;;) {
      const event = await this.next();
      if (event === undefined) throw new Error(`the watch ended after ${JSON.stringify(seen)}`);
      seen.push(event);
      if (isLast(event)) return seen;
    }
  }

  close(): void {
    this.#abort.abort();
  }

  async #read(body: AsyncIterable<Uint8Array>): Promise<void> {
    let text = '';
    const decoder = new TextDecoder();
    try {
      for await (const chunk of body) {
        text += decoder.decode(chunk, { stream: true });
        const lines = text.split('\n');
        text = lines.pop() ?? '';
        for (const line of lines)
          if (line !== '') this.#events.push(JSON.parse(line) as WatchEvent);
        this.#wake?.();
      }
    } catch {
      // Closed by the test, or cut by the server: either way there is no more.
    }
    this.#isEnded = true;
    this.#wake?.();
  }
}
