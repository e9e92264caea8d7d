// One simulated pod: a small HTTP server on the pod's own address that says who it is and counts
// what it received. Its counts are the truth that the demo is judged by. It can be told to be slow
// or to fail. One object with a lifetime; `close` is idempotent.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Runtime } from '../../lib/clock.ts';

/** Who a pod is, and where it listens. */
export type PodFacts = {
  readonly namespace: string;
  readonly name: string;
  readonly nodeName: string;
  readonly serviceAccount: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly address: string;
  /** Container ports that it declares; never empty. */
  readonly ports: readonly number[];
};

/** How a pod misbehaves. */
export type PodFault = {
  readonly delayMs: number;
  /** Share of requests that are answered 500, 0 to 1. */
  readonly failShare: number;
};

/** Who called, as the header `x-caller` says: for counting, never for deciding. */
const callerHeader = 'x-caller';
/** Callers and paths that are told apart; more would be somebody playing with the counters. */
const countedMax = 1000;
/** Bodies are read to their end and echoed by length only. */
const noFault: PodFault = { delayMs: 0, failShare: 0 };

/** A running pod. */
export class PodServer {
  readonly facts: PodFacts;
  readonly #runtime: Runtime;
  readonly #servers: Server[] = [];
  /** Declared port → port that is really bound (they differ where pods share one address). */
  readonly #bound = new Map<number, number>();
  readonly #byCaller = new Map<string, number>();
  readonly #byPath = new Map<string, number>();
  #received = 0;
  #fault: PodFault = noFault;

  constructor(facts: PodFacts, runtime: Runtime) {
    this.facts = facts;
    this.#runtime = runtime;
  }

  /**
   * Binds every port; `isShared`: the address is that of other pods too, so ports are any free
   * ones.
   */
  async listen(isShared: boolean): Promise<void> {
    for (const port of this.facts.ports) {
      const server = createServer((request, response) => this.#answer(request, response));
      server.keepAliveTimeout = 60_000;
      await listening(server, isShared ? 0 : port, this.facts.address);
      // A TCP server that listens has an AddressInfo.
      this.#bound.set(port, (server.address() as AddressInfo).port);
      this.#servers.push(server);
    }
  }

  /** Where a declared port is really bound. */
  boundPort(port: number): number {
    return this.#bound.get(port) ?? port;
  }

  get received(): number {
    return this.#received;
  }

  receivedFrom(caller: string): number {
    return this.#byCaller.get(caller) ?? 0;
  }

  receivedAt(path: string): number {
    return this.#byPath.get(path) ?? 0;
  }

  set fault(fault: PodFault) {
    this.#fault = fault;
  }

  close(): Promise<void> {
    const closing = this.#servers.splice(0).map(
      (server) =>
        new Promise<void>((resolve) => {
          server.close(() => resolve());
          server.closeAllConnections();
        }),
    );
    return Promise.all(closing).then(() => undefined);
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = (request.url ?? '/').split('?')[0] ?? '/';
    const caller = String(request.headers[callerHeader] ?? 'unknown');
    this.#received += 1;
    count(this.#byCaller, caller);
    count(this.#byPath, path);
    request.resume();
    request.once('end', () => {
      const { delayMs } = this.#fault;
      if (delayMs === 0) this.#respond(request, response, path);
      else this.#runtime.timers.after(delayMs, () => this.#respond(request, response, path));
    });
  }

  #respond(request: IncomingMessage, response: ServerResponse, path: string): void {
    const isFailing = this.#runtime.random() < this.#fault.failShare;
    const { facts } = this;
    const body = `${JSON.stringify({
      pod: `${facts.namespace}/${facts.name}`,
      serviceAccount: facts.serviceAccount,
      version: facts.labels.get('version') ?? '',
      node: facts.nodeName,
      host: request.headers.host ?? '',
      method: request.method,
      path,
    })}\n`;
    response.writeHead(isFailing ? 500 : 200, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      'x-pod': facts.name,
    });
    response.end(body);
  }
}

function count(counts: Map<string, number>, key: string): void {
  const held = counts.get(key);
  if (held === undefined && counts.size >= countedMax) return;
  counts.set(key, (held ?? 0) + 1);
}

function listening(server: Server, port: number, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, address, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
