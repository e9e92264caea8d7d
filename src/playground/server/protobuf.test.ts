// Protobuf bodies: one that kubectl really sent (create namespace, 1.32), and hostile bytes.
// A body that cannot be read is refused with 415; nothing throws anything else.
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../lib/random.ts';
import { isProtobuf, parseProtobuf } from './protobuf.ts';
import { StatusFailure } from './status.ts';

/** tag, length and bytes of a length-delimited field. */
function field(id: number, content: Buffer | string): Buffer {
  const bytes = Buffer.from(content);
  return Buffer.concat([Buffer.from([id * 8 + 2, bytes.length]), bytes]);
}

function enveloped(apiVersion: string, kind: string, raw: Buffer): Buffer {
  const type = Buffer.concat([field(1, apiVersion), field(2, kind)]);
  return Buffer.concat([Buffer.from('k8s\u0000'), field(1, type), field(2, raw)]);
}

describe('a protobuf body', () => {
  test('is read by the table of its kind', () => {
    const meta = Buffer.concat([
      field(1, 'shop'),
      field(3, ''),
      field(11, Buffer.concat([field(1, 'a'), field(2, 'b')])),
      field(11, Buffer.concat([field(1, 'c'), field(2, 'd')])),
    ]);
    const body = enveloped('v1', 'Namespace', Buffer.concat([field(1, meta), field(2, '')]));
    expect(parseProtobuf(body)).toEqual({
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'shop', labels: { a: 'b', c: 'd' } },
    });
  });

  test('carries numbers and bytes', () => {
    const spec = field(2, Buffer.from([8, 0xac, 0x02]));
    expect(parseProtobuf(enveloped('autoscaling/v1', 'Scale', spec))).toMatchObject({
      spec: { replicas: 300 },
    });
    const data = field(2, Buffer.concat([field(1, 'k'), field(2, Buffer.from([0, 255]))]));
    expect(parseProtobuf(enveloped('v1', 'Secret', data))).toMatchObject({ data: { k: 'AP8=' } });
  });

  test('of an unknown kind, or cut off, is refused with 415', () => {
    const whole = enveloped('v1', 'ConfigMap', field(1, field(1, 'name')));
    const wrong = [
      Buffer.from('{}'),
      enveloped('v1', 'Pod', Buffer.alloc(0)),
      whole.subarray(0, -3),
    ];
    for (const body of wrong) {
      expect(() => parseProtobuf(body)).toThrow(expect.objectContaining({ code: 415 }));
    }
  });

  test('of random bytes is read or refused, and never anything else', () => {
    const random = seededRandom(5);
    for (let round = 0; round < 2000; round += 1) {
      const raw = Buffer.from(Array.from({ length: 30 }, () => Math.floor(random() * 256)));
      try {
        parseProtobuf(enveloped('v1', 'ConfigMap', raw));
      } catch (error) {
        expect(error).toBeInstanceOf(StatusFailure);
      }
    }
  });
});

test('the media type tells', () => {
  expect(isProtobuf('application/vnd.kubernetes.protobuf')).toBe(true);
  expect(isProtobuf('application/json')).toBe(false);
});
