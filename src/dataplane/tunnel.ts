// An upgraded connection (101): bytes both ways under back-pressure, half-closes passed on, until
// both sides have ended or one is cut. It has no time-outs: a WebSocket may be silent for a day.
import type { Client } from './client.ts';
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

  fromClient(data: Buffer): void {
    this.fromClientBytes += data.length;
    if (!this.#upstream.write(data)) this.#client.pauseReading();
  }

  fromUpstream(data: Buffer): void {
    this.fromUpstreamBytes += data.length;
    if (!this.#client.write(data)) this.#upstream.pause();
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
