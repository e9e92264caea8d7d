// What a pod of HTTP/2 is sent for the text that one of HTTP/1.1 would get: the same,
// line by line and byte for byte; and what is kept of trailers that come again.
import { expect, test } from 'vitest';
import { trailerLines } from './http2-fields.ts';
import { AnswerHeads, RequestLines } from './http2-heads.ts';
import { DecodedField } from './http2/hpack-decoder.ts';

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

test('trailers that come again are the same list, as long as the same names are nominated', () => {
  const answers = new AnswerHeads();
  const came = [new DecodedField('grpc-status', '0', false), new DecodedField('x-own', '1', false)];
  const trailers = answers.trailersOf(came);
  expect(answers.trailersOf(came)).toBe(trailers);
  const none = new Set<string>();
  const lines = trailerLines(trailers, none);
  expect(trailerLines(trailers, none)).toBe(lines);
  expect(lines.map(({ name }) => name)).toEqual(['grpc-status', 'x-own']);
  const few = trailerLines(trailers, new Set(['x-own']));
  expect(few.map(({ name }) => name)).toEqual(['grpc-status']);
  expect(trailerLines(trailers, none)).toEqual(lines);
});
