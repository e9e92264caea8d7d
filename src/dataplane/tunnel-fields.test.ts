// What the two proxies of a call write for each other: read back as it was written, and refused
// when it is anything else.
import { describe, expect, test } from 'vitest';
import { RequestHeadParser } from './http1/request-head.ts';
import type { Fields } from './http1/fields.ts';
import { readTunnelFields, renderTunnelDeadline, renderTunnelFields } from './tunnel-fields.ts';
import type { TunnelDeadline } from './tunnel-fields.ts';
import { readGreeting, renderGreeting } from './tunnel-greeting.ts';
import { refusedThere } from './tunnel-refusal.ts';

const limits = { headBytesMax: 32_768, targetBytesMax: 8_192, fieldsMax: 128 };

function fieldsOf(lines: string): Fields {
  const head = Buffer.from(`GET / HTTP/1.1\r\nhost: x\r\n${lines}\r\n`, 'latin1');
  const result = new RequestHeadParser({ limits, servicePort: 80 }).parse(head, 0, head.length);
  if (result.kind !== 'head') throw new Error(result.kind);
  return result.head.fields;
}

function read(lines: string): ReturnType<typeof readTunnelFields> {
  return readTunnelFields(fieldsOf(lines));
}

const backend = { namespace: 'shop', service: 'web', port: 80 };
const service = 'weft-tunnel-service: shop/web:80\r\n';
const pod = 'weft-tunnel-pod: 10.1.0.1:8080\r\n';

describe('the fields of a tunnel', () => {
  test.each([
    ['10.1.0.1', undefined, true],
    ['fd00::7', 'web.shop.mesh:80', true],
    ['10.1.0.1', undefined, false],
  ])('are read as they were written: %s, %s, %s', (address, authority, isAuthenticated) => {
    const endpoint = { address, port: 8080 };
    const text = renderTunnelFields({ backend, endpoint, authority, isAuthenticated });
    expect(read(text)).toEqual({
      target: { ...backend, address, podPort: 8080 },
      hostname: authority === undefined ? undefined : 'web.shop.mesh',
      isLowered: !isAuthenticated,
    });
  });

  test.each<[TunnelDeadline, string, number]>([
    [{ ms: 5_000, isCallers: false }, 'weft-tunnel-deadline: 5000\r\n', 5_000],
    [{ ms: 4_999.2, isCallers: true }, 'weft-tunnel-deadline: 5000 caller\r\n', 5_000],
    [{ ms: 1, isCallers: false }, 'weft-tunnel-deadline: 25\r\n', 25],
    [{ ms: -3, isCallers: false }, 'weft-tunnel-deadline: 0\r\n', 0],
  ])('tell what time is left: %j', (deadline, line, ms) => {
    expect(renderTunnelDeadline(deadline)).toBe(line);
    expect(read(service + pod + line)?.deadline).toEqual({ ...deadline, ms });
  });

  test('tell no time beyond measure', () => {
    expect(renderTunnelDeadline({ ms: 1e9, isCallers: true })).toBe('');
    expect(read(service + pod)?.deadline).toBeUndefined();
  });

  test.each<[string, string]>([
    ['no service', pod],
    ['a time that is none', `${service}${pod}weft-tunnel-deadline: soon\r\n`],
    ['two times', service + pod + 'weft-tunnel-deadline: 1\r\n'.repeat(2)],
    ['no pod', service],
    ['two services', service + service + pod],
    ['two pods', service + pod + pod],
    ['two authorities', `${service}${pod}weft-tunnel-authority: a\r\nweft-tunnel-authority: a\r\n`],
    ['another source', `${service}${pod}weft-tunnel-source: shop/admin\r\n`],
    ['two sources', `${service}${pod}${'weft-tunnel-source: unauthenticated\r\n'.repeat(2)}`],
    ['a service without port', `weft-tunnel-service: shop/web\r\n${pod}`],
    ['a service with a path', `weft-tunnel-service: shop/web/x:80\r\n${pod}`],
    ['a service in upper case', `weft-tunnel-service: Shop/web:80\r\n${pod}`],
    ['a port beyond', `weft-tunnel-service: shop/web:65536\r\n${pod}`],
    ['a port with a zero in front', `weft-tunnel-service: shop/web:080\r\n${pod}`],
    ['an address in another spelling', `${service}weft-tunnel-pod: 010.1.0.1:8080\r\n`],
    ['an IPv6 address in another spelling', `${service}weft-tunnel-pod: [fd00:0::7]:80\r\n`],
    ['a mapped address', `${service}weft-tunnel-pod: [::ffff:10.1.0.1]:80\r\n`],
    ['a name for an address', `${service}weft-tunnel-pod: localhost:80\r\n`],
    ['an authority that is none', `${service}${pod}weft-tunnel-authority: a b\r\n`],
  ])('are none with %s', (_, lines) => {
    expect(read(lines)).toBeUndefined();
  });

  test('that are not known are ignored', () => {
    expect(read(`${service}${pod}weft-tunnel-load: 7\r\n`)).toBeDefined();
  });
});

describe('a greeting', () => {
  test('is read as it was written', () => {
    const ok = { kind: 'ok', build: '1.2.3+abc' } as const;
    const no = { kind: 'no', reason: 'NodeMismatch', build: '1.2.3' } as const;
    expect(readGreeting(renderGreeting(ok))).toEqual(ok);
    expect(readGreeting(renderGreeting(no))).toEqual(no);
  });

  test.each(['', 'o', 'ok ', 'ok 1.2.3', 'ok 1.2.3\r'])('that is not whole waits: %j', (text) => {
    expect(readGreeting(text)).toBeUndefined();
  });

  test.each([
    'ok 1.2.3\n',
    'ok 1.2.3\r\nHTTP/1.1 200 OK\r\n',
    'yes 1.2.3\r\n',
    'no 1.2.3\r\n',
    'HTTP/1.1 400 Bad Request\r\n',
    `ok ${'1'.repeat(126)}`,
  ])('that is anything else is a refusal: %j', (text) => {
    expect(readGreeting(text)).toMatchObject({ kind: 'no', reason: 'GreetingMalformed' });
  });

  test('never holds a second line, whatever the build is called', () => {
    expect(renderGreeting({ kind: 'ok', build: 'a\r\nb c' })).toBe('ok abc\r\n');
  });
});

describe('a refusal of the other proxy', () => {
  test.each([
    ['SourceNotAllowed', true, 'SourceNotAllowed', undefined],
    ['RouteNotAllowed', true, 'RouteNotAllowed', undefined],
    ['SourceUnknown', true, 'SourceUnknown', undefined],
    ['BadRequestHeadTooLarge', true, 'BadRequestHeadTooLarge', undefined],
    ['PodNotHere', true, 'TunnelUnavailable', { kind: 'connect', status: 503, isUnsent: true }],
    ['UpstreamConnect', true, 'UpstreamConnect', { kind: 'connect', status: 502, isUnsent: true }],
    ['UpstreamReset', false, 'UpstreamReset', { kind: 'reset', status: 502, isUnsent: false }],
    ['UpstreamConnect', false, 'UpstreamConnect', { kind: 'reset', status: 502, isUnsent: false }],
    ['Tomorrow', true, 'UpstreamProtocol', { kind: 'protocol', status: 502, isUnsent: true }],
    ['__proto__', false, 'UpstreamProtocol', { kind: 'protocol', status: 502, isUnsent: false }],
  ])('%s, unsent %s, is %s here', (reason, isUnsent, expected, failure) => {
    expect(refusedThere({ reason, isUnsent })).toEqual({ reason: expected, failure });
  });
});
