// What waits keeps its order and its bytes, is counted to the byte, and is copied once: a read full
// of small requests would cost its square otherwise.
import { describe, expect, test } from 'vitest';
import type { Counts } from './engine.ts';
import { PendingBytes, WaitingBytes } from './pending-bytes.ts';

function newCounts(): Counts {
  return { connections: 0, exchanges: 0, lingering: 0, bufferedBytes: 0 };
}

describe('pending bytes', () => {
  test('are not those of the buffer that they came in', () => {
    const pending = new PendingBytes(newCounts());
    const read = Buffer.from('firstsecond');
    pending.push(read, 0, 5);
    pending.putBack(read, 5, 11);
    read.fill('!');
    expect(pending.takeAll().map(String)).toEqual(['second', 'first']);
  });

  test('the rest of a chunk goes back in front, counted, without another copy', () => {
    const counts = newCounts();
    const pending = new PendingBytes(counts);
    pending.push(Buffer.from('one two'), 0, 7);
    pending.push(Buffer.from('three'), 0, 5);
    const chunk = pending.take();
    if (chunk === undefined) throw new Error('nothing was taken');
    expect(counts.bufferedBytes).toBe(5);
    pending.putBack(chunk, 4, 7);
    expect(counts.bufferedBytes).toBe(8);
    const rest = pending.take();
    expect(String(rest)).toBe('two');
    expect(rest?.buffer).toBe(chunk.buffer);
    expect(rest?.byteOffset).toBe(chunk.byteOffset + 4);
    expect(pending.takeAll().map(String)).toEqual(['three']);
    expect(counts.bufferedBytes).toBe(0);
  });
});

test('waiting bytes count once, however often they are set', () => {
  const counts = newCounts();
  const waiting = new WaitingBytes(counts);
  waiting.set(10);
  waiting.set(7);
  expect(counts.bufferedBytes).toBe(7);
  waiting.set(0);
  waiting.set(0);
  expect(counts.bufferedBytes).toBe(0);
});
