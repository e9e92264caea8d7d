// A Node whose insides are not what they were: the trial of direct sockets finds it out, whatever
// goes wrong, and traffic then flows on plain sockets. The internals given here are real ones with
// one lie each, so that the trial, not a look at shapes, has to find it.
import { createHash } from 'node:crypto';
import http from 'node:http';
import net from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { fastestNetwork } from '../../src/dataplane/index.ts';
import { findInternals } from '../../src/dataplane/kernel-stream.ts';
import type { Internals, KernelStream } from '../../src/dataplane/kernel-stream.ts';
import { until } from '../kube/support/until.ts';
import { startHarness } from '../support/dataplane-harness.ts';

const endings: (() => void)[] = [];

afterEach(() => {
  for (const end of endings.splice(0)) end();
});

function realInternals(): Internals {
  const found = findInternals();
  if (found === undefined) throw new Error('this Node has no insides that are known');
  return found;
}

/** Real internals, each of whose streams is changed by `lie`. */
function lying(lie: (stream: KernelStream) => Partial<KernelStream>): Internals {
  const real = realInternals();
  return {
    ...real,
    adopt: (stream) => Object.assign(stream, lie(stream)),
  };
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function broken(): never {
  throw new TypeError('not a function any more');
}

function closing(stream: KernelStream): KernelStream['reset'] {
  const close = stream.close.bind(stream);
  return (closed) => {
    close(closed);
    return 0;
  };
}

function silently(stream: KernelStream): KernelStream['close'] {
  const close = stream.close.bind(stream);
  return () => close(() => undefined);
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
    'a write that drops a byte',
    () =>
      lying((stream) => {
        const write = stream.writeBuffer.bind(stream);
        return { writeBuffer: (request, bytes) => write(request, bytes.subarray(1)) };
      }),
  ],
  ['a write that fails', () => lying(() => ({ writeBuffer: () => -22 }))],
  ['corked writes that throw', () => lying(() => ({ writev: broken }))],
  ['reads that do not start', () => lying(() => ({ readStart: () => 0 }))],
  ['reads whose start throws', () => lying(() => ({ readStart: broken }))],
  ['read buffers that are not taken', () => lying(() => ({ useUserBuffer: () => undefined }))],
  ['a listener that is not found', () => ({ ...realInternals(), listenerOf: () => undefined })],
  [
    'accepting that is not told of',
    () => ({
      ...realInternals(),
      listenerOf: () => ({ onconnection: () => undefined, setNoDelay: () => 0 }),
    }),
  ],
  ['streams that cannot be made', () => ({ ...realInternals(), newStream: broken })],
  ['streams that do not connect', () => lying(() => ({ connect: () => 0 }))],
  ['connecting that fails', () => lying(() => ({ connect: () => -22 }))],
  ['half-closes that are not sent', () => lying(() => ({ shutdown: () => 0 }))],
  ['half-closes that throw', () => lying(() => ({ shutdown: broken }))],
  ['closing that is not told of', () => lying((stream) => ({ close: silently(stream) }))],
  ['a reset that is a close', () => lying((stream) => ({ reset: closing(stream) }))],
  ['peers without a name', () => lying(() => ({ getpeername: () => -107 }))],
  ['lengths of reads that are elsewhere', () => ({ ...realInternals(), readBytesIndex: 99 })],
  ['writes that never seem to wait', () => ({ ...realInternals(), wasAsyncIndex: 99 })],
  [
    'write requests that cannot be made',
    () => ({ ...realInternals(), WriteRequest: broken as unknown as Internals['WriteRequest'] }),
  ],
];

/** A proxy before a pod that says how much came. */
async function startProxy(internals: Internals | undefined) {
  const fastest = await fastestNetwork(internals);
  const pod = http.createServer((request, response) => {
    let bytes = 0;
    request.on('data', (piece: Buffer) => (bytes += piece.length));
    request.on('end', () => response.end(`${bytes} bytes`));
  });
  await new Promise<void>((resolve) => pod.listen(0, '127.0.0.1', resolve));
  endings.push(() => (pod.closeAllConnections(), pod.close()));
  const { port } = pod.address() as AddressInfo;
  const harness = await startHarness({
    endpoints: [{ address: '127.0.0.1', port }],
    network: fastest.network,
  });
  endings.push(() => harness.dataplane.close());
  return { harness, isDirect: fastest.isDirect };
}

function post(port: number, bytes: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = { host: 'h1.t.mesh', 'content-length': bytes };
    const request = http.request({ port, method: 'POST', headers, agent: false }, (response) => {
      let text = '';
      response.on('data', (piece: Buffer) => (text += piece.toString('latin1')));
      response.on('end', () => resolve(text));
    });
    request.on('error', reject);
    request.end(Buffer.alloc(bytes));
  });
}

test('insides that tell the truth are used', async () => {
  expect((await fastestNetwork(realInternals())).isDirect).toBe(true);
});

test('a long connection that pauses between reads gives the kernel few buffers', async () => {
  let swaps = 0;
  const counting = lying((stream) => {
    const real = stream.useUserBuffer.bind(stream);
    const useUserBuffer = (buffer: Uint8Array): void => {
      swaps += 1;
      real(buffer);
    };
    return { useUserBuffer };
  });
  const { network } = await fastestNetwork(counting);
  swaps = 0;
  const bytes = 24 * 1024 * 1024;
  const sender = net.createServer((socket) => socket.end(Buffer.alloc(bytes, 'abcdefg')));
  await new Promise<void>((resolve) => sender.listen(0, '127.0.0.1', resolve));
  endings.push(() => sender.close());
  const { port } = sender.address() as AddressInfo;
  const socket = network.connect({ address: '127.0.0.1', port, localAddress: undefined });
  const buffers = [Buffer.alloc(4_096), Buffer.alloc(4_096)] as const;
  let reads = 0;
  const hash = createHash('sha256');
  socket.readInto?.({
    readBuffer: () => buffers[reads % 2 === 0 ? 0 : 1],
    read: (from, length) => {
      reads += 1;
      hash.update(from.subarray(0, length));
      socket.pause();
      setImmediate(() => socket.resume());
    },
  });
  socket.on('end', () => socket.end());
  await new Promise<void>((resolve) => socket.on('close', resolve));
  expect(hash.digest('hex')).toBe(digest(Buffer.alloc(bytes, 'abcdefg')));
  expect(reads).toBeGreaterThan(1_400);
  expect(swaps).toBeLessThanOrEqual(1_001);
});

describe('the fall-back to plain sockets', () => {
  test.each(lies)('%s: found, and the proxy serves', async (_, internals) => {
    const { harness, isDirect } = await startProxy(internals());
    expect(isDirect).toBe(false);
    expect(await post(harness.port, 1_000_000)).toBe('1000000 bytes');
    expect(harness.bugs).toEqual([]);
  });

  test('the trial leaves nothing behind when it fails', async () => {
    const { isDirect } = await fastestNetwork(lying(() => ({ readStart: () => 0 })));
    expect(isDirect).toBe(false);
    expect(process.hasUncaughtExceptionCaptureCallback()).toBe(false);
    const isSocket = (name: string): boolean => name.startsWith('TCP');
    await until('no socket is open', () => !process.getActiveResourcesInfo().some(isSocket));
  });
});
