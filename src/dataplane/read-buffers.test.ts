// Who owns a read buffer when: a lent one goes back to the pool when the borrower's write queue is
// empty, not before, and what may wait in a write queue never lies in the shared one.
import { describe, expect, test } from 'vitest';
import { BodyBuffers, ReadBuffer, writable } from './read-buffers.ts';

function counting() {
  const returned: Buffer[] = [];
  const pool = new BodyBuffers((buffer) => returned.push(buffer));
  return { returned, pool, reads: new ReadBuffer(pool), peer: new ReadBuffer(pool) };
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
    const { returned, pool, reads, peer } = counting();
    reads.own();
    const own = reads.current;
    reads.lend(peer);
    reads.reclaim();
    expect(reads.current).toBe(own);
    reads.release();
    expect(returned).toEqual([own]);
    expect(pool.owners).toBe(0);
  });

  test('into another buffer while its own is lent, and the lent one is not returned', () => {
    const { returned, pool, reads, peer } = counting();
    reads.own();
    const own = reads.current;
    reads.lend(peer);
    expect(reads.current).not.toBe(own);
    expect(returned).toEqual([]);
    expect(pool.owners).toBe(2);
    peer.drained();
    expect(returned).toEqual([own]);
    expect(pool.owners).toBe(1);
  });

  test('a buffer that is lent when its body ends comes back when the peer has taken all', () => {
    const { returned, pool, reads, peer } = counting();
    reads.own();
    const own = reads.current;
    reads.lend(peer);
    reads.release();
    reads.release();
    expect(returned).toEqual([]);
    expect(pool.owners).toBe(1);
    peer.drained();
    peer.drained();
    expect(returned).toEqual([own]);
    expect(pool.owners).toBe(0);
  });

  test('a buffer that is lent when its connection is gone comes back in the same way', () => {
    const { returned, pool, reads, peer } = counting();
    reads.own();
    const own = reads.current;
    reads.lend(peer);
    reads.close();
    expect(returned).toEqual([]);
    peer.drained();
    expect(returned).toEqual([own]);
    expect(pool.owners).toBe(0);
  });

  test.each<[string, (one: ReadBuffer, peer: ReadBuffer) => void]>([
    ['is its own', (one) => one.close()],
    ['is lent to it', (one, peer) => (one.lend(peer), one.release(), peer.close())],
    ['is lent to it afterwards', (one, peer) => (one.lend(peer), peer.close(), one.release())],
  ])('nothing comes back of a connection that is cut, nothing is counted: %s', (_, cut) => {
    const { returned, pool, reads, peer } = counting();
    reads.own();
    cut(reads, peer);
    peer.drained();
    expect(returned).toEqual([]);
    expect(pool.owners).toBe(0);
    reads.close();
    reads.own();
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
