// A peer that fails costs a line a minute, however often it fails; and peers that make themselves
// up cost no memory.
import { expect, test } from 'vitest';
import { HandshakeNotices } from './handshake-notices.ts';

const facts = { side: 'client', peer: 'node-b', result: 'Unreachable', message: 'x' } as const;

test('the first failure of a peer and outcome is told, then one a minute with their number', () => {
  const notices = new HandshakeNotices();
  expect(notices.note(facts, 0)).toEqual({ ...facts, count: 1 });
  for (let nowMs = 1; nowMs < 60_000; nowMs += 1_000) {
    expect(notices.note(facts, nowMs)).toBeUndefined();
  }
  expect(notices.note({ ...facts, result: 'Timeout' }, 10)?.count).toBe(1);
  expect(notices.note({ ...facts, peer: 'node-c' }, 10)?.count).toBe(1);
  expect(notices.note(facts, 60_000)?.count).toBe(61);
});

test('what went well is never told', () => {
  expect(new HandshakeNotices().note({ ...facts, result: 'ok' }, 0)).toBeUndefined();
});

test('peers that make themselves up take no more room than others', () => {
  const notices = new HandshakeNotices();
  for (let index = 0; index < 10_000; index += 1) notices.note({ ...facts, peer: `${index}` }, 0);
  expect(notices.note(facts, 0)?.count).toBe(1);
});
