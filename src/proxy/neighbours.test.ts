// The neighbour table is read often while pods stand in it, rarely otherwise, and told on change.
// What it means is tested in topology.
import { expect, test } from 'vitest';
import { FakeRuntime } from '../../test/kube/support/fake-runtime.ts';
import type { Neighbours } from '../topology/index.ts';
import { followNeighbours } from './neighbours.ts';

const header = 'IP address       HW type     Flags       HW address            Mask     Device\n';
const row = '10.1.0.1         0x1         0x2         0e:00:00:00:00:01     *        eth0\n';

test('reads often while pods of this node stand in the table', async () => {
  const fake = new FakeRuntime();
  const told: Neighbours[] = [];
  let reads = 0;
  let text: string | undefined = header;
  const stop = followNeighbours({
    files: {
      readText: (path) => {
        expect(path).toBe('/proc/net/arp');
        reads += 1;
        return text === undefined ? Promise.reject(new Error('ENOENT')) : Promise.resolve(text);
      },
      writePrivate: () => Promise.reject(new Error('nothing is written')),
      fileSystemType: () => Promise.resolve(0),
    },
    timers: fake.runtime.timers,
    isLocalPod: (address) => address === '10.1.0.1',
    onChange: (neighbours) => told.push(neighbours),
  });
  await fake.advance(10_000);
  expect([reads, told.length]).toEqual([3, 1]);
  text = header + row;
  await fake.advance(5_000);
  expect(told[1]?.get('10.1.0.1')).toBe('0e:00:00:00:00:01');
  const before = reads;
  await fake.advance(1_000);
  expect(reads - before).toBe(4);
  expect(told.length).toBe(2);
  text = undefined;
  await fake.advance(250);
  expect(told[2]?.size).toBe(0);
  stop();
  const after = reads;
  await fake.advance(60_000);
  expect(reads).toBe(after);
});
