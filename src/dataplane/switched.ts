// An upgraded connection (101): bytes both ways under back-pressure, half-closes passed on, until
// both sides have ended or one is cut. It has no time-outs: a WebSocket may be silent for a day.
import type { Client } from './client.ts';
import type { Counts } from './engine.ts';
import { WaitingBytes } from './pending-bytes.ts';
import { writable } from './read-buffers.ts';
import type { Carriage } from './tunnel-wait.ts';

export class Switched {
  readonly #client: Client;
  readonly #upstream: Carriage;
  /** Both sides have sent their FIN. */
  readonly #ended: () => void;
  readonly #toClient: WaitingBytes;
  readonly #toUpstream: WaitingBytes;
  #hasClientEnded = false;
  #hasUpstreamEnded = false;
  fromClientBytes = 0;
  fromUpstreamBytes = 0;

  constructor(
    client: Client,
    upstream: Carriage,
    counts: Counts,
    ended: () => void,
  ) {
    this.#client = client;
    this.#upstream = upstream;
    this.#ended = ended;
    this.#toClient = new WaitingBytes(counts);
    this.#toUpstream = new WaitingBytes(counts);
  }

  /** What came behind the request is the first of it. */
  begin(): void {
    for (const waiting of this.#client.startTunnel()) this.fromClient(waiting, 0, waiting.length);
    if (this.#client.hasEnded) this.clientEnded();
  }

  fromClient(buffer: Buffer, start: number, end: number): void {
    if (start === end) return;
    this.fromClientBytes += end - start;
    if (this.#upstream.write(writable(buffer, start, end))) return;
    this.#toUpstream.set(this.#upstream.unsentBytes);
    this.#client.pauseReading();
  }

  fromUpstream(buffer: Buffer, start: number, end: number): void {
    if (start === end) return;
    this.fromUpstreamBytes += end - start;
    if (this.#client.write(writable(buffer, start, end))) return;
    this.#toClient.set(this.#client.unsentBytes);
    this.#upstream.pause();
  }

  clientDrained(): void {
    this.#toClient.set(0);
    this.#upstream.resume();
  }

  upstreamDrained(): void {
    this.#toUpstream.set(0);
    this.#client.resumeReading();
  }

  /** Nobody waits for anything any more. */
  forgetWaiting(): void {
    this.#toClient.set(0);
    this.#toUpstream.set(0);
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
