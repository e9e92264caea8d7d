// A Node whose TLS streams are not what they were: the trial finds it out, whatever goes wrong, and
// tunnels then run on the public API. The internals given here are real ones with one lie each, so
// that the trial, not a look at shapes, has to find it.
import type { AddressInfo } from 'node:net';
import tls from 'node:tls';
import { describe, expect, test } from 'vitest';
import { fastestTlsNetwork, tlsNetwork } from '../../src/dataplane/index.ts';
import { findInternals } from '../../src/dataplane/kernel-stream.ts';
import type { Internals, SecureKernelStream } from '../../src/dataplane/kernel-stream.ts';
import { passesSecureTrial } from '../../src/dataplane/secure-trial.ts';
import { trialCredential, type TrialCredential } from '../../src/dataplane/trial-certificate.ts';

function realInternals(): Internals {
  const found = findInternals();
  if (found === undefined) throw new Error('this Node has no insides that are known');
  return found;
}

/** Real internals, each of whose TLS streams is changed by `lie`. */
function lying(lie: (stream: SecureKernelStream) => Partial<SecureKernelStream>): Internals {
  const real = realInternals();
  return {
    ...real,
    secureOf: (socket) => {
      const stream = real.secureOf(socket);
      return stream && Object.assign(stream, lie(stream));
    },
  };
}

function broken(): never {
  throw new TypeError('not a function any more');
}

const lies: readonly (readonly [string, () => Internals])[] = [
  [
    'a write that alters bytes',
    () =>
      lying((stream) => {
        const write = stream.writeBuffer.bind(stream);
        return {
          writeBuffer: (request, bytes) => {
            const copy = Uint8Array.from(bytes);
            copy[100] = 1 + (copy[100] ?? 0);
            return write(request, copy);
          },
        };
      }),
  ],
  [
    'a write of text that drops a byte',
    () =>
      lying((stream) => {
        const write = stream.writeLatin1String.bind(stream);
        return { writeLatin1String: (request, text) => write(request, text.slice(1)) };
      }),
  ],
  ['a write that fails', () => lying(() => ({ writeBuffer: () => -22 }))],
  ['writes that throw', () => lying(() => ({ writeBuffer: broken }))],
  [
    'writes whose end is not told',
    () =>
      lying((stream) => {
        const write = stream.writeBuffer.bind(stream);
        const { WriteRequest } = realInternals();
        return { writeBuffer: (_, bytes) => write(new WriteRequest(), bytes) };
      }),
  ],
  ['reads that do not go on', () => lying(() => ({ readStart: () => 0 }))],
  ['reads whose start throws', () => lying(() => ({ readStart: broken }))],
  ['reads that do not stop', () => lying(() => ({ readStop: () => 0 }))],
  ['read buffers that are not taken', () => lying(() => ({ useUserBuffer: () => undefined }))],
  ['half-closes that are not sent', () => lying(() => ({ shutdown: () => 0 }))],
  ['half-closes that throw', () => lying(() => ({ shutdown: broken }))],
  ['streams of another shape', () => ({ ...realInternals(), secureOf: () => undefined })],
  ['lengths of reads that are elsewhere', () => ({ ...realInternals(), readBytesIndex: 99 })],
  [
    'write requests that cannot be made',
    () => ({ ...realInternals(), WriteRequest: broken as unknown as Internals['WriteRequest'] }),
  ],
];

test('insides that tell the truth are used', async () => {
  expect((await fastestTlsNetwork(realInternals())).isDirect).toBe(true);
});

test('the public API passes the same trial', async () => {
  expect(await passesSecureTrial(tlsNetwork())).toBe(true);
});

describe('tunnels run on the public API where the insides show', () => {
  test.each(lies)('%s', async (_, internals) => {
    const { network, isDirect } = await fastestTlsNetwork(internals());
    expect(isDirect).toBe(false);
    expect(await passesSecureTrial(network)).toBe(true);
  });
});

/** A server that sends `count` records of ten bytes, each by itself, and ends. */
function startTicker(count: number, credential: TrialCredential, allSent: () => void) {
  const { certificatePem: cert, keyPem: key } = credential;
  const server = tls.createServer({ cert, key, ALPNProtocols: ['ticks'] }, (socket) => {
    socket.on('error', () => undefined);
    let sent = 0;
    const next = (): void => {
      if (sent === count) {
        socket.end();
        allSent();
      } else socket.write(String((sent += 1)).padStart(10), next);
    };
    next();
  });
  return new Promise<{ port: number; close: () => void }>((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      resolve({ port: (server.address() as AddressInfo).port, close: () => server.close() });
    });
  });
}

test('thousands of small records behind a pause are kept, in order', async () => {
  const credential = trialCredential();
  const count = 5_000;
  let isAllSent = false;
  let resume = (): void => undefined;
  const server = await startTicker(count, credential, () => {
    isAllSent = true;
    resume();
  });
  const { network, isDirect } = await fastestTlsNetwork();
  expect(isDirect).toBe(true);
  const context = network.context({ ...credential, side: 'client', alpn: ['ticks'] });
  const to = { address: '127.0.0.1', port: server.port, localAddress: undefined };
  const socket = context.connect(to);
  const buffer = Buffer.alloc(64 * 1024);
  let text = '';
  let isPaused = false;
  let readsWhilePaused = 0;
  resume = () => {
    isPaused = false;
    socket.resume();
  };
  await new Promise<void>((resolve) => {
    socket.on('connect', () => {
      socket.readInto({
        readBuffer: () => buffer,
        read: (from, bytes) => {
          if (isPaused) readsWhilePaused += 1;
          text += from.toString('latin1', 0, bytes);
          isPaused = true;
          socket.pause();
          // The first pause lasts until all have been sent.
          if (isAllSent) setImmediate(resume);
        },
      });
    });
    socket.on('end', () => socket.end());
    socket.on('close', resolve);
  });
  server.close();
  expect(socket.errored).toBeNull();
  expect(readsWhilePaused).toBe(0);
  expect(text.match(/.{10}/g)).toEqual(
    Array.from({ length: count }, (_, index) => String(index + 1).padStart(10)),
  );
});
