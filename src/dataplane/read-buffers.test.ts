// Who owns a read buffer when: a lent one never goes back to the pool, and what may wait in a write
// queue never lies in the shared one.
import { describe, expect, test } from 'vitest';
import { BodyBuffers, ReadBuffer, writable } from './read-buffers.ts';

function counting() {
  const returned: Buffer[] = [];
  const pool = new BodyBuffers((buffer) => returned.push(buffer));
  return { returned, pool, reads: new ReadBuffer(pool) };
}

describe('a connection reads', () => {
  test('into the shared buffer until a long body flows', () => {
    const { pool, reads } = counting();
    expect(reads.current).toBe(new ReadBuffer(pool).current);
    reads.own();
    expect(reads.current).not.toBe(new ReadBuffer(pool).current);
    expect(pool.owners).toBe(1);
  });

  test('into the same buffer again when the peer has taken everything', () => {
    const { returned, pool, reads } = counting();
    reads.own();
    const own = reads.current;
    reads.lend();
    reads.reclaim();
    expect(reads.current).toBe(own);
    reads.release();
    expect(returned).toEqual([own]);
    expect(pool.owners).toBe(0);
  });

  test('into another buffer while its own is lent, and the lent one is not returned', () => {
    const { returned, pool, reads } = counting();
    reads.own();
    const own = reads.current;
    reads.lend();
    expect(reads.current).not.toBe(own);
    expect(returned).toEqual([]);
    expect(pool.owners).toBe(1);
  });

  test('a buffer that is lent when its body ends is left alone', () => {
    const { returned, pool, reads } = counting();
    reads.own();
    reads.lend();
    reads.release();
    reads.release();
    expect(returned).toEqual([]);
    expect(pool.owners).toBe(0);
  });

  test('into the shared buffer when too many bodies own one', () => {
    const { pool, reads } = counting();
    while (pool.take() !== undefined);
    reads.own();
    expect(reads.current).toBe(new ReadBuffer(pool).current);
  });
});

describe('what may wait in a write queue', () => {
  test('is a copy where the bytes are in the shared buffer', () => {
    const shared = counting().reads.current;
    shared.fill('a');
    const long = writable(shared, 0, 20_000);
    const short = writable(shared, 0, 5);
    shared.fill('b');
    expect(long.toString()).toBe('a'.repeat(20_000));
    expect(short).toBe('aaaaa');
  });

  test('is the piece itself where the buffer has an owner', () => {
    const owned = Buffer.alloc(20_000);
    const piece = writable(owned, 0, 20_000);
    owned.fill('c');
    expect(piece.toString()).toBe('c'.repeat(20_000));
  });
});
