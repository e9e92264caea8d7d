// An upgraded connection (101): bytes both ways under back-pressure, half-closes passed on, until
// both sides have ended or one is cut. It has no time-outs: a WebSocket may be silent for a day.
import type { Client } from './client.ts';
import { writable } from './read-buffers.ts';
import type { UpstreamConnection } from './upstream.ts';

export class Tunnel {
  readonly #client: Client;
  readonly #upstream: UpstreamConnection;
  /** Both sides have sent their FIN. */
  readonly #ended: () => void;
  #hasClientEnded = false;
  #hasUpstreamEnded = false;
  fromClientBytes = 0;
  fromUpstreamBytes = 0;

  constructor(client: Client, upstream: UpstreamConnection, ended: () => void) {
    this.#client = client;
    this.#upstream = upstream;
    this.#ended = ended;
  }

  fromClient(buffer: Buffer, start: number, end: number): void {
    if (start === end) return;
    this.fromClientBytes += end - start;
    if (!this.#upstream.write(writable(buffer, start, end))) this.#client.pauseReading();
  }

  fromUpstream(buffer: Buffer, start: number, end: number): void {
    if (start === end) return;
    this.fromUpstreamBytes += end - start;
    if (!this.#client.write(writable(buffer, start, end))) this.#upstream.pause();
  }

  clientDrained(): void {
    this.#upstream.resume();
  }

  upstreamDrained(): void {
    this.#client.resumeReading();
  }

  clientEnded(): void {
    this.#hasClientEnded = true;
    this.#upstream.endTunnel();
    this.#checkEnd();
  }

  upstreamEnded(): void {
    this.#hasUpstreamEnded = true;
    this.#client.endTunnel();
    this.#checkEnd();
  }

  #checkEnd(): void {
    if (!this.#hasClientEnded || !this.#hasUpstreamEnded) return;
    this.#upstream.leaveTunnel();
    this.#ended();
  }
}
