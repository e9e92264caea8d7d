// What both ends of a visit did last, so that one that hangs explains itself: who sent what, who
// waits for whom, and what the data plane holds meanwhile. Bounded: the last bytes of each way, the
// last orders of the pods.
import type net from 'node:net';

const bytesMax = 80;
const ordersMax = 4_096;

function tail(text: string): string {
  return JSON.stringify(text.slice(-bytesMax));
}

/** The client's end of one connection. */
export class VisitTrace {
  readonly #startedMs = Date.now();
  #sent = '';
  #read = '';
  #sentMs = 0;
  #notedMs = 0;
  #readMs = 0;
  #events = '';

  sent(text: string): void {
    this.#sent = (this.#sent + text).slice(-bytesMax);
    this.#sentMs = this.#age();
  }

  read(data: Buffer): void {
    this.#read = (this.#read + data.subarray(-bytesMax).toString('latin1')).slice(-bytesMax);
    this.#readMs = this.#age();
  }

  /** Few per visit: connected, ended, paused and the like. */
  note(event: string): void {
    this.#notedMs = this.#age();
    this.#events += ` ${event}@${this.#notedMs}`;
  }

  /** Since the last byte of either way, or the last event. */
  get quietMs(): number {
    return this.#age() - Math.max(this.#sentMs, this.#readMs, this.#notedMs);
  }

  describe(socket: net.Socket): string {
    const { bytesRead, bytesWritten, writableLength, readyState, localPort } = socket;
    const way = socket.isPaused() ? 'paused' : 'reading';
    return (
      `socket ${readyState} ${way} from port ${localPort ?? 0}, ` +
      `read ${bytesRead} (last at ${this.#readMs} ms: ${tail(this.#read)}), ` +
      `wrote ${bytesWritten} and keeps ${writableLength} ` +
      `(last at ${this.#sentMs} ms: ${tail(this.#sent)}),${this.#events} now@${this.#age()}`
    );
  }

  #age(): number {
    return Date.now() - this.#startedMs;
  }
}

/** What the pods did with the last requests that reached them. */
export class PodTrace {
  readonly #orders = new Map<string, string>();

  note(id: string, event: string): void {
    const before = this.#orders.get(id) ?? '';
    this.#orders.delete(id);
    this.#orders.set(id, `${before} ${event}@${Date.now() % 100_000}`);
    const [oldest] = this.#orders.keys();
    if (this.#orders.size > ordersMax && oldest !== undefined) this.#orders.delete(oldest);
  }

  describe(id: string): string {
    const events = this.#orders.get(id);
    return events === undefined ? 'pod: never came' : `pod:${events} now@${Date.now() % 100_000}`;
  }
}
