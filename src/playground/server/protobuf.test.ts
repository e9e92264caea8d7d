// Protobuf bodies: such as kubectl sends (its own are in test/kube), and hostile bytes.
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

/** IntOrString as Go writes it: kind, number and text, all three. */
const twoPorts = {
  number: Buffer.concat([Buffer.from([8, 0, 0x10, 0x90, 0x3f]), field(3, '')]),
  name: Buffer.concat([Buffer.from([8, 1, 0x10, 0]), field(3, 'web')]),
};

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

  test('keeps a zero where it says something, and drops it where Go always writes it', () => {
    const port = field(6, Buffer.from([0x10, 0, 0x18, 80]));
    const template = field(3, field(2, field(2, Buffer.concat([field(1, 'c'), port]))));
    const spec = field(2, Buffer.concat([Buffer.from([8, 0, 0x28, 0]), template]));
    expect(parseProtobuf(enveloped('apps/v1', 'Deployment', spec))).toEqual({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      spec: {
        replicas: 0,
        template: { spec: { containers: [{ name: 'c', ports: [{ containerPort: 80 }] }] } },
      },
    });
  });

  test('carries ports by number and by name, and negative numbers', () => {
    const number = field(1, Buffer.concat([Buffer.from([0x18, 80]), field(4, twoPorts.number)]));
    const name = field(1, Buffer.concat([Buffer.from([0x18, 81]), field(4, twoPorts.name)]));
    const spec = field(2, Buffer.concat([number, name]));
    expect(parseProtobuf(enveloped('v1', 'Service', spec))).toMatchObject({
      spec: {
        ports: [
          { port: 80, targetPort: 8080 },
          { port: 81, targetPort: 'web' },
        ],
      },
    });
    const minusOne = Buffer.from([8, ...Array<number>(9).fill(0xff), 1]);
    expect(parseProtobuf(enveloped('autoscaling/v1', 'Scale', field(2, minusOne)))).toMatchObject({
      spec: { replicas: -1 },
    });
  });

  test('with a field that is not known is refused if it says something, never cut', () => {
    const withStatus = (status: Buffer): Buffer =>
      enveloped('v1', 'Service', Buffer.concat([field(1, field(1, 'one')), field(3, status)]));
    // As Go writes the status of a new Service, and of one with a load balancer.
    const blank = field(1, Buffer.alloc(0));
    expect(parseProtobuf(withStatus(blank))).toMatchObject({ metadata: { name: 'one' } });
    const status = field(1, field(1, field(1, '10.0.0.1')));
    expect(() => parseProtobuf(withStatus(status))).toThrow('field 3 of a message is not known');
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
