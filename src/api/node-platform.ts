// What a node is, as far as it decides whether a proxy of ours can run there: Windows nodes run no
// Linux container, virtual ones no pod of a DaemonSet. What a cluster does not say is taken as the
// ordinary case, so that a young Node object is not told as a defect.
import { textAt } from '../lib/raw-object.ts';

type NodePlatform = {
  readonly os: string;
  readonly architecture: string;
  /** Of a virtual kubelet or Fargate: it takes no DaemonSet. */
  readonly isVirtual: boolean;
};

/** For which the image is built. */
const architectures: readonly string[] = ['amd64', 'arm64'];

function platformOf(node: unknown): NodePlatform {
  const label = (key: string): string | undefined => textAt(node, 'metadata', 'labels', key);
  const said = (key: string): string | undefined => textAt(node, 'status', 'nodeInfo', key);
  return {
    os: said('operatingSystem') || label('kubernetes.io/os') || 'linux',
    architecture: said('architecture') || label('kubernetes.io/arch') || 'amd64',
    isVirtual:
      label('type') === 'virtual-kubelet' ||
      label('eks.amazonaws.com/compute-type') === 'fargate',
  };
}

/** Why no proxy can run on a Node, as the API server tells it; `undefined`: one can. */
export function proxyObstacleOf(node: unknown): string | undefined {
  const { os, architecture, isVirtual } = platformOf(node);
  if (isVirtual) return 'it takes no DaemonSet';
  if (os === 'linux' && architectures.includes(architecture)) return undefined;
  return `it is ${os}/${architecture}`;
}
