// UDP sockets of the DNS server: nothing that a stranger sends from, and nobody who cannot be
// reached, may end the process or the socket.
import { afterEach, expect, test } from 'vitest';
import { until } from '../../test/kube/support/until.ts';
import { openDatagrams } from './node-datagrams.ts';

const address = '127.57.0.1';
const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

function opened(port = 0, on = address) {
  const failures: Error[] = [];
  const messages: { readonly text: string; readonly port: number }[] = [];
  let isBound = false;
  const socket = openDatagrams(on, port, {
    onBound: () => {
      isBound = true;
    },
    onFailed: (error) => failures.push(error),
    onMessage: (data, from) => messages.push({ text: Buffer.from(data).toString(), port: from }),
  });
  cleanups.push(() => socket.close());
  const bound = () => until('it is bound', () => isBound);
  return { socket, failures, messages, bound };
}

test('a message arrives, with the port that an answer goes to', async () => {
  const here = opened(15_353);
  const there = opened(15_354);
  await Promise.all([here.bound(), there.bound()]);
  there.socket.send(Buffer.from('question'), 15_353, address);
  await until('it arrived', () => here.messages.length === 1);
  here.socket.send(Buffer.from('answer'), here.messages[0]?.port ?? 0, address);
  await until('so did the answer', () => there.messages.length === 1);
  expect(here.messages).toEqual([{ text: 'question', port: 15_354 }]);
  expect(there.messages).toEqual([{ text: 'answer', port: 15_353 }]);
});

test('a peer that cannot be reached is no failure of the socket', async () => {
  const here = opened(15_355);
  await here.bound();
  // Longer than any datagram: the system refuses it at once, as it does a host without a route.
  here.socket.send(Buffer.alloc(70_000), 9, address);
  here.socket.send(Buffer.from('still here'), 15_355, address);
  await until('it still sends', () => here.messages.length === 1);
  expect(here.failures).toEqual([]);
});

test('a port that is taken is told', async () => {
  await opened(15_356).bound();
  const second = opened(15_356);
  await until('it failed', () => second.failures.length === 1);
  expect(second.failures[0]).toMatchObject({ code: 'EADDRINUSE' });
});

test('closing twice, and sending after it, is nothing', async () => {
  const here = opened();
  await here.bound();
  here.socket.close();
  here.socket.close();
  here.socket.send(Buffer.from('late'), 9, address);
  expect(here.failures).toEqual([]);
});
