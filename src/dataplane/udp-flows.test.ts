// The table of flows: who is found by which key, whom the order of use leaves over, and who has
// to go when there are too many.
import { describe, expect, test } from 'vitest';
import { flowKey, FlowTable, type TabledFlow } from './udp-flows.ts';

function flowOf(clientAddress: string, port: number): TabledFlow {
  const key = flowKey(1, clientAddress, port);
  return { key, sourceKey: clientAddress, evict: () => undefined };
}

/** With the flows `a:1 b:1 …` in this order. */
function tableOf(flows: string, limits = { flowsMax: 6, perSourceMax: 3 }) {
  const table = new FlowTable<TabledFlow>(limits);
  const all = flows.split(' ').map((text) => {
    const [address = '', port = ''] = text.split(':');
    return flowOf(address, Number(port));
  });
  for (const flow of all) table.add(flow);
  return { table, all };
}

describe('a flow', () => {
  test('is found by listener, address and port, and by nothing less', () => {
    const { table, all } = tableOf('a:1');
    expect(table.find(flowKey(1, 'a', 1))).toBe(all[0]);
    for (const key of [flowKey(2, 'a', 1), flowKey(1, 'b', 1), flowKey(1, 'a', 11)]) {
      expect(table.find(key)).toBeUndefined();
    }
  });

  test('that was removed is nowhere; removing it again is nothing', () => {
    const { table, all } = tableOf('a:1 a:2');
    const [first] = all as [TabledFlow];
    expect([table.remove(first), table.remove(first)]).toEqual([true, false]);
    expect([table.size, table.ofSource('a'), table.all()]).toEqual([1, [all[1]], [all[1]]]);
  });

  test('that another one has replaced is not removed in its place', () => {
    const { table, all } = tableOf('a:1');
    const [first] = all as [TabledFlow];
    table.remove(first);
    const second = flowOf('a', 1);
    table.add(second);
    expect(table.remove(first)).toBe(false);
    expect(table.find(second.key)).toBe(second);
  });
});

describe('room', () => {
  test.each([
    ['there is room', 'a:1 b:1 b:2', 'a', undefined],
    ['a source at its bound: its own oldest', 'b:1 a:1 a:2 a:3', 'a', 'a:1'],
    ['all at the bound: the oldest of all', 'b:1 a:1 c:1 d:1 e:1 f:1', 'a', 'b:1'],
    ['both: its own', 'b:1 a:1 a:2 a:3 c:1 d:1', 'a', 'a:1'],
  ])('%s', (_, flows, address, victim) => {
    const found = tableOf(flows).table.victimFor(address);
    const key = victim === undefined ? undefined : flowKey(1, ...halves(victim));
    expect(found?.key).toBe(key);
  });

  test('goes to who was used last, not to who came last', () => {
    const { table, all } = tableOf('a:1 a:2 a:3');
    const [first] = all as [TabledFlow];
    table.touch(first);
    expect(table.victimFor('a')).toBe(all[1]);
  });
});

function halves(text: string): [string, number] {
  const [address = '', port = ''] = text.split(':');
  return [address, Number(port)];
}
