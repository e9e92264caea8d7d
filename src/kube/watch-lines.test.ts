// Lines of a watch out of chunks that end anywhere, and what each line means.
// Chunks are cut at random places from one seed.
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../lib/random.ts';
import { kubeReason } from './client.ts';
import { LineSplitter, isOlder, readWatchEvent } from './watch-lines.ts';

function split(chunks: readonly Uint8Array[], bytesMax = 1_000): readonly string[] {
  const splitter = new LineSplitter(bytesMax);
  return chunks.flatMap((chunk) => [...splitter.push(chunk)]);
}

describe('lines', () => {
  test('are the same wherever the chunks end, also within a character', () => {
    const text = '{"name":"grün"}\n\n{"name":"织"}\n{"rest":';
    const bytes = Buffer.from(text);
    const random = seededRandom(4);
    for (let round = 0; round < 200; round += 1) {
      const chunks: Uint8Array[] = [];
      for (let start = 0; start < bytes.length; ) {
        const end = start + 1 + Math.floor(random() * 9);
        chunks.push(bytes.subarray(start, end));
        start = end;
      }
      expect(split(chunks)).toEqual(['{"name":"grün"}', '{"name":"织"}']);
    }
  });

  test('may be as long as the limit and no byte longer, in one chunk or in many', () => {
    const line = (length: number): Buffer => Buffer.from(`${'x'.repeat(length)}\n`);
    expect(split([line(1_000)])).toHaveLength(1);
    expect(() => split([line(1_001)])).toThrow('more than 1000 bytes');
    const pieces = Array.from({ length: 11 }, () => Buffer.from('x'.repeat(100)));
    expect(() => split(pieces)).toThrow('more than 1000 bytes');
  });

  test('do not add up to the limit', () => {
    const lines = Array.from({ length: 100 }, () => Buffer.from(`${'x'.repeat(900)}\n`));
    expect(split(lines)).toHaveLength(100);
  });
});

describe('a line', () => {
  const object = { metadata: { namespace: 'shop', name: 'web', uid: 'u', resourceVersion: '7' } };
  const facts = { key: 'shop/web', uid: 'u', resourceVersion: '7' };

  test('says what happened to which object', () => {
    const read = (type: string): unknown => readWatchEvent(JSON.stringify({ type, object }));
    expect(read('ADDED')).toEqual({ kind: 'put', facts, object });
    expect(read('MODIFIED')).toEqual({ kind: 'put', facts, object });
    expect(read('DELETED')).toEqual({ kind: 'remove', facts });
  });

  test('says how far the stream has come, and when its first part is over', () => {
    const bookmark = (annotations: unknown): unknown =>
      readWatchEvent(
        JSON.stringify({
          type: 'BOOKMARK',
          object: { metadata: { resourceVersion: '9', annotations } },
        }),
      );
    expect(bookmark(undefined)).toEqual({
      kind: 'bookmark',
      resourceVersion: '9',
      endsInitial: false,
    });
    expect(bookmark({ 'k8s.io/initial-events-end': 'true' })).toMatchObject({ endsInitial: true });
  });

  test('that is an error has the reason of its status', () => {
    const reasonOf = (status: unknown): string | undefined => {
      try {
        readWatchEvent(JSON.stringify({ type: 'ERROR', object: status }));
      } catch (error) {
        return kubeReason(error);
      }
      return undefined;
    };
    expect(reasonOf({ code: 410, reason: 'Expired' })).toBe('Gone');
    expect(reasonOf({ code: 500, reason: 'Expired' })).toBe('Gone');
    expect(reasonOf({ code: 500 })).toBe('ServerError');
    expect(reasonOf({ code: 429 })).toBe('TooManyRequests');
    expect(reasonOf('nonsense')).toBe('ServerError');
  });
});

test('versions are compared as numbers of any length, and never guessed', () => {
  expect(isOlder('9', '10')).toBe(true);
  expect(isOlder('10', '9')).toBe(false);
  expect(isOlder('10', '10')).toBe(false);
  expect(isOlder('99999999999999999998', '99999999999999999999')).toBe(true);
  expect(isOlder('', '10')).toBe(false);
  expect(isOlder('a', '10')).toBe(false);
});
