// A pod of HTTP/1.1 that counts what it has at one time, connections and requests, and how many it
// had at most: what a limit promises is seen nowhere else. A connection counts from its acceptance
// to its end as the pod is told of it; who closes is the pod's peer, unless the pod is told to.
import net from 'node:net';
import type { AddressInfo } from 'node:net';
import { okAnswer } from './dataplane-sockets.ts';
import type { TestEndpoint } from './dataplane-harness.ts';

export type PodHabits = {
  /** How long a request takes; undefined: until `answerAll`. */
  readonly serviceMs?: number;
  /** It ends each connection with its answer. */
  readonly closes?: boolean;
};

type Counted = { now: number; most: number; total: number };

export class CountingPod {
  readonly endpoint: TestEndpoint;
  readonly connections: Counted = { now: 0, most: 0, total: 0 };
  readonly requests: Counted = { now: 0, most: 0, total: 0 };
  readonly #server: net.Server;
  readonly #habits: PodHabits;
  readonly #sockets = new Set<net.Socket>();
  #waiting: (() => void)[] = [];

  private constructor(server: net.Server, habits: PodHabits) {
    const { address, port } = server.address() as AddressInfo;
    this.endpoint = { address, port };
    this.#server = server;
    this.#habits = habits;
    server.on('connection', (socket) => this.#accept(socket));
  }

  static start(address: string, habits: PodHabits = {}): Promise<CountingPod> {
    const server = net.createServer({ allowHalfOpen: true, noDelay: true });
    return new Promise((done, fail) => {
      server.on('error', fail);
      server.listen(0, address, () => done(new CountingPod(server, habits)));
    });
  }

  /** What waits is answered; what comes later waits again. */
  answerAll(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const answer of waiting) answer();
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #accept(socket: net.Socket): void {
    const leave = enter(this.connections);
    this.#sockets.add(socket);
    socket.on('error', leave);
    socket.on('end', () => {
      leave();
      socket.end();
    });
    socket.on('close', () => {
      leave();
      this.#sockets.delete(socket);
    });
    const serving = new Set<() => void>();
    socket.on('close', () => {
      for (const done of serving) done();
    });
    let rest = '';
    socket.on('data', (data) => {
      rest += data.toString('latin1');
      for (let end = rest.indexOf('\r\n\r\n'); end >= 0; end = rest.indexOf('\r\n\r\n')) {
        rest = rest.slice(end + 4);
        this.#serve(socket, serving, leave);
      }
    });
  }

  #serve(socket: net.Socket, serving: Set<() => void>, leaveConnection: () => void): void {
    const { serviceMs, closes = false } = this.#habits;
    const leave = enter(this.requests);
    serving.add(leave);
    const answer = (): void => {
      leave();
      serving.delete(leave);
      if (socket.destroyed || !socket.writable) return;
      if (closes) leaveConnection();
      socket.write(okAnswer('ok').replace('\r\n', closes ? '\r\nConnection: close\r\n' : '\r\n'));
      if (closes) socket.end();
    };
    if (serviceMs === undefined) this.#waiting.push(answer);
    else setTimeout(answer, serviceMs);
  }
}

/** Counts one in; the answer counts it out, once. */
function enter(counted: Counted): () => void {
  counted.now += 1;
  counted.total += 1;
  counted.most = Math.max(counted.most, counted.now);
  let isIn = true;
  return () => {
    if (isIn) counted.now -= 1;
    isIn = false;
  };
}
