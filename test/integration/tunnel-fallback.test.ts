// A Node whose TLS streams are not what they were: the trial finds it out, whatever goes wrong, and
// tunnels then run on the public API. The internals given here are real ones with one lie each, so
// that the trial, not a look at shapes, has to find it.
import { expect, describe, test } from 'vitest';
import { fastestTlsNetwork, tlsNetwork } from '../../src/dataplane/index.ts';
import { findInternals } from '../../src/dataplane/kernel-stream.ts';
import type { Internals, SecureKernelStream } from '../../src/dataplane/kernel-stream.ts';
import { passesSecureTrial } from '../../src/dataplane/secure-trial.ts';

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
