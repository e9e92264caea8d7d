// What a pod of HTTP/2 is sent for the text that one of HTTP/1.1 would get: the same,
// line by line and byte for byte.
import { expect, test } from 'vitest';
import { RequestLines } from './http2-heads.ts';

test('a value keeps its bytes, but for blanks around it', () => {
  const parts = {
    before: 'GET / HTTP/1.1\r\nhost: web\r\n',
    behind: 'x-own: \t\u00a0\u00e0 b\u00a0 \t\r\nx-empty: \r\n\r\n',
  };
  const ids = { requestId: 'r', traceparent: 't' };
  const lines = new RequestLines().of(parts, ids);
  expect(lines.slice(-2)).toEqual([
    { name: 'x-own', value: '\u00a0\u00e0 b\u00a0' },
    { name: 'x-empty', value: '' },
  ]);
});
