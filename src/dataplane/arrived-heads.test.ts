// Heads that came by tunnel: recognised by all of their bytes but for the line of ids, under one
// table, for one caller. And that line itself: read as it was written, by field and by place.
import { describe, expect, test } from 'vitest';
import { unauthenticated } from '../route/index.ts';
import { worldTable } from '../../test/support/tunnel-mesh.ts';
import { ArrivedHeads } from './arrived-heads.ts';
import { Arrivals } from './arrivals.ts';
import { RequestHeadParser } from './http1/request-head.ts';
import type { RequestHeadFound } from './http1/request-head.ts';
import type { RequestIds } from './http1/serialise.ts';
import { idsTailBytes, readIdsTail, readTunnelIds, renderIdsTail } from './tunnel-ids.ts';

const limits = { headBytesMax: 32_768, targetBytesMax: 8_192, fieldsMax: 128 };
const world = { endpoints: [{ address: '127.0.2.1', port: 8080, node: 'node-b' }] };
const table = worldTable('node-b', world);

/** Ids that differ from all others in one digit. */
function ids(digit: string): RequestIds {
  const traceId = `0af7651916cd43dd8448eb211c80319${digit}`;
  return { requestId: digit.repeat(32), traceparent: `00-${traceId}-b7ad6b7169203331-01` };
}

const start = 'GET /open HTTP/1.1\r\nhost: h1.t.mesh\r\nweft-tunnel-service: t/h1:80\r\n';
const pod = 'weft-tunnel-pod: 127.0.2.1:8080\r\n';

/** A read buffer of a worker, in which older bytes stand. */
const shared = Buffer.alloc(4_096, 'x\r\n\r\n');

function caller(room = { heads: 0 }) {
  const from = { source: unauthenticated, arrivals: new Arrivals() };
  const heads = new ArrivedHeads(from, '::1', room);
  const connection = () => new RequestHeadParser({ limits, servicePort: 0, known: heads });
  const parse = (text: string, parser = connection()): RequestHeadFound => {
    const end = 7 + shared.write(text, 7, 'latin1');
    const result = parser.parse(shared, 7, end);
    if (result.kind !== 'head') throw new Error(result.kind);
    return result;
  };
  return { heads, connection, parse };
}

describe('a head of the same caller', () => {
  test('is recognised on any of his connections, each time with its own ids', () => {
    const { parse } = caller();
    const first = parse(start + pod + renderIdsTail(ids('1')));
    const second = parse(start + pod + renderIdsTail(ids('2')));
    expect(second.head).toBe(first.head);
    expect(second.ids).toEqual(ids('2'));
    expect(second.end).toBe(first.end);
  });

  test('is recognised without ids of ours', () => {
    const { parse } = caller();
    const text = `${start}${pod}x-request-id: mine\r\n\r\n`;
    const first = parse(text);
    expect(parse(text)).toEqual({ kind: 'head', head: first.head, end: first.end, ids: undefined });
  });

  test('is recognised with bytes behind it, and they are left', () => {
    const { parse } = caller();
    const text = start + pod + renderIdsTail(ids('1'));
    const first = parse(text);
    const second = parse(`${text}GET /next HTTP/1.1\r\nhost: a\r\n\r\n`);
    expect(second.head).toBe(first.head);
    expect(second.end).toBe(first.end);
  });

  test.each([
    ['another path', (text: string) => text.replace('/open', '/opel')],
    ['another pod', (text: string) => text.replace('127.0.2.1', '127.0.2.2')],
    ['one field more', (text: string) => text.replace('host:', 'a: b\r\nhost:')],
    ['another end', (text: string) => text.replace('weft-tunnel-ids', 'weft-tunnel-idz')],
    ['ids in another field', (text: string) => text.replace('weft-tunnel-ids', 'x: weft-ids')],
  ])('is another one with %s', (_, change) => {
    const { parse } = caller();
    const text = start + pod + renderIdsTail(ids('1'));
    const first = parse(text);
    expect(parse(change(text)).head).not.toBe(first.head);
  });

  test('whose last field only looks like ids is known by all of its bytes', () => {
    const { parse } = caller();
    const text = (digit: string) => `${start}x: a, ${renderIdsTail(ids(digit))}`;
    const first = parse(text('1'));
    const second = parse(text('2'));
    expect(second.head).not.toBe(first.head);
    expect(second.ids).toBeUndefined();
    expect(second.head.fields.get('x')).toContain('2222');
  });

  test('has one plan under one table, another under the next', () => {
    const { heads, parse } = caller();
    const { head } = parse(start + pod + renderIdsTail(ids('1')));
    const plan = heads.planOf(table, head);
    expect(plan.sentRequestId).toBe(ids('1').requestId);
    expect(plan.refusal).toBeUndefined();
    parse(start + pod + renderIdsTail(ids('2')));
    expect(heads.planOf(table, head)).toBe(plan);
    const next = worldTable('node-b', { ...world, endpoints: [] });
    expect(heads.planOf(next, head).refusal).toBe('PodNotHere');
    heads.forget();
    const again = parse(start + pod + renderIdsTail(ids('3')));
    expect(again.head).not.toBe(head);
    expect(heads.planOf(table, again.head)).not.toBe(plan);
  });

  test('is not kept for ever: more heads than there is room for begin anew', () => {
    const { parse } = caller();
    const text = (path: number) =>
      start.replace('/open', `/${path}`) + pod + renderIdsTail(ids('1'));
    const first = parse(text(0));
    // Each is asked for twice, so that none of them counts as a miss in a row.
    for (let path = 1; path <= 512; path += 1) {
      parse(text(path));
      parse(text(path));
    }
    expect(parse(text(0)).head).not.toBe(first.head);
  });

  test('takes the room of all callers, and gives it back', () => {
    const room = { heads: 0 };
    const text = start + pod + renderIdsTail(ids('1'));
    const one = caller(room);
    one.parse(text);
    one.parse(text.replace('/open', '/more'));
    expect(room.heads).toBe(2);
    one.heads.forget();
    expect(room.heads).toBe(0);
    room.heads = 4_096;
    const other = caller(room);
    expect(other.parse(text).head).not.toBe(other.parse(text).head);
    expect(room.heads).toBe(4_096);
  });
});

describe('the line of ids', () => {
  test('is read as it was written', () => {
    const text = `GET / HTTP/1.1\r\nhost: a\r\n${renderIdsTail(ids('a'))}`;
    const bytes = Buffer.from(text, 'latin1');
    expect(readIdsTail(bytes, bytes.length)).toEqual(ids('a'));
    expect(readTunnelIds(caller().parse(text).head.fields)).toEqual(ids('a'));
  });

  test.each([
    ['none', ''],
    ['two', renderIdsTail(ids('1')).slice(0, -2) + renderIdsTail(ids('2')).slice(0, -2)],
    ['one id', 'weft-tunnel-ids: abc\r\n'],
    ['three', `weft-tunnel-ids: a ${ids('1').traceparent} b\r\n`],
    ['no trace', 'weft-tunnel-ids: abc def\r\n'],
  ])('tells nothing: %s', (_, lines) => {
    const { head } = caller().parse(`GET / HTTP/1.1\r\nhost: a\r\n${lines}\r\n`);
    expect(readTunnelIds(head.fields)).toBeUndefined();
  });

  test('tells nothing with a control byte in it', () => {
    const tail = renderIdsTail(ids('1')).replace('1111', '1\r\n1');
    const bytes = Buffer.from(`a: b\r\n${tail}`, 'latin1');
    expect(tail).toHaveLength(idsTailBytes);
    expect(readIdsTail(bytes, bytes.length)).toBeUndefined();
  });
});
