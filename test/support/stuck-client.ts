// A client whose kernel takes no long piece: an answer comes from a pod without a network, in reads
// as large as the proxy's buffers, and what was written stays where it is, as in a write queue.
import type { ListenEvents, NetworkSocket, SocketReader } from '../../src/lib/network.ts';
import { startHarness } from './dataplane-harness.ts';

type Listeners = Map<string, (argument?: unknown) => void>;

/** A socket that says what the maker wishes; it reads when it is told to. */
function fakeSocket(write: (data: Uint8Array | string) => boolean, waiting: () => number) {
  const listeners: Listeners = new Map();
  let reader: SocketReader | undefined;
  const nothing = (): void => undefined;
  const socket: NetworkSocket = {
    remoteAddress: '127.0.0.1',
    destroyed: false,
    errored: null,
    get writableLength() {
      return waiting();
    },
    get writableNeedDrain() {
      return waiting() > 0;
    },
    write,
    end: nothing,
    destroy: nothing,
    destroySoon: nothing,
    resetAndDestroy: nothing,
    pause: nothing,
    resume: nothing,
    cork: nothing,
    uncork: nothing,
    readInto: (one) => (reader = one),
    // Only the names matter; what a listener takes is the emitter's business.
    on: (event: string, listener: unknown) =>
      listeners.set(event, listener as (argument?: unknown) => void),
  };
  const feed = (bytes: Buffer): number => {
    const buffer = reader?.readBuffer() ?? Buffer.alloc(0);
    const taken = bytes.copy(buffer);
    reader?.read(buffer, taken);
    return taken;
  };
  return { socket, feed, emit: (event: string) => listeners.get(event)?.() };
}

/** Asks for `text`; the pieces that were written and not taken, as they are in the end. */
export async function stuckClientOf(endings: (() => unknown)[], text: string) {
  const kept: Uint8Array[] = [];
  const client = fakeSocket(
    (data) => typeof data === 'string' || (kept.push(data), false),
    () => (kept.length > 0 ? 1 : 0),
  );
  const pod = fakeSocket(() => true, () => 0);
  let events: ListenEvents | undefined;
  const harness = await startHarness({
    endpoints: [{ address: '127.0.0.1', port: 1 }],
    network: {
      listen: (_, given) => {
        events = given;
        setImmediate(given.listening);
        return { port: () => 1, close: () => undefined };
      },
      connect: () => pod.socket,
    },
  });
  endings.push(() => harness.dataplane.close());
  events?.accepted(client.socket);
  client.feed(Buffer.from('GET / HTTP/1.1\r\nHost: h1.t.mesh\r\n\r\n'));
  pod.emit('connect');
  const head = `HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n`;
  let rest = Buffer.from(head + text, 'latin1');
  while (rest.length > 0) rest = rest.subarray(pod.feed(rest));
  return {
    pieces: () => kept.map((piece) => Buffer.from(piece).toString('latin1')),
    bodyBuffers: () => harness.dataplane.state().bodyBuffers,
    /** The kernel has taken everything. */
    drain: () => client.emit('drain'),
  };
}
