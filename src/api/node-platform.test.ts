// Which nodes can run a proxy, from Node objects as clouds make them; what is missing in one is
// taken as the ordinary case.
import { expect, test } from 'vitest';
import { proxyObstacleOf } from './node-platform.ts';

const info = (operatingSystem: string, architecture: string) => ({
  status: { nodeInfo: { operatingSystem, architecture } },
});
const labelled = (labels: Readonly<Record<string, string>>) => ({ metadata: { labels } });

test.each([
  ['Linux on amd64', info('linux', 'amd64'), undefined],
  ['Linux on arm64', info('linux', 'arm64'), undefined],
  ['one that says nothing yet', {}, undefined],
  ['one whose kubelet says nothing', info('', ''), undefined],
  ['Windows', info('windows', 'amd64'), 'it is windows/amd64'],
  ['Windows, by its label', labelled({ 'kubernetes.io/os': 'windows' }), 'it is windows/amd64'],
  ['another architecture', info('linux', 's390x'), 'it is linux/s390x'],
  ['a virtual kubelet', labelled({ type: 'virtual-kubelet' }), 'it takes no DaemonSet'],
  [
    'Fargate',
    labelled({ 'eks.amazonaws.com/compute-type': 'fargate' }),
    'it takes no DaemonSet',
  ],
  ['a Node whose labels are no labels', { metadata: { labels: 7 } }, undefined],
])('%s', (_what, node, obstacle) => {
  expect(proxyObstacleOf(node)).toBe(obstacle);
});
