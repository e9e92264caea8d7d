// The two workloads: DaemonSet weft-proxy, one pod on each node, replaced one after the other with
// the old pod serving until the new one is ready; Deployment weft-controller, two replicas of which
// one writes.
import { peersService } from '../../topology/index.ts';
import type { InstallFacts } from './facts.ts';
import type { JsonMap } from './json.ts';
import { manifest, remarked, selectorOf, type Manifest } from './manifest.ts';
import { podRemarks, podTemplate } from './pods.ts';

const pod = ['spec', 'template', 'spec'] as const;
const container = [...pod, 'containers', 0] as const;

/**
 * Nodes that are no machines run no DaemonSet's pods. As every taint is tolerated, the scheduler
 * would go on trying.
 */
const realNodes: JsonMap = {
  nodeAffinity: {
    requiredDuringSchedulingIgnoredDuringExecution: {
      nodeSelectorTerms: [
        {
          matchExpressions: [
            { key: 'type', operator: 'NotIn', values: ['virtual-kubelet'] },
            { key: 'eks.amazonaws.com/compute-type', operator: 'NotIn', values: ['fargate'] },
          ],
        },
      ],
    },
  },
};

export function proxyDaemonSet(facts: InstallFacts): Manifest {
  const { origin, proxy } = facts;
  const template = podTemplate(facts, {
    component: 'proxy',
    facts: proxy,
    downward: [
      ['NODE_NAME', 'spec.nodeName'],
      ['POD_NAME', 'metadata.name'],
      ['POD_UID', 'metadata.uid'],
      ['POD_IP', 'status.podIP'],
      ['WEFT_MESH_NAMESPACE', 'metadata.namespace'],
    ],
    ports: [
      { name: 'dns', containerPort: 15053, protocol: 'UDP' },
      { name: 'dns-tcp', containerPort: 15053, protocol: 'TCP' },
      // Its name says to other proxies that tunnels are accepted, whatever --mtls says.
      { name: peersService.portName, containerPort: 15008, protocol: 'TCP' },
    ],
    readiness: { periodSeconds: 1, timeoutSeconds: 2, failureThreshold: 3 },
    spec: { terminationGracePeriodSeconds: proxy.graceSeconds, affinity: realNodes },
  });
  const subject = {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    name: 'weft-proxy',
    namespace: origin.namespace,
  };
  const body = {
    spec: {
      revisionHistoryLimit: 5,
      selector: { matchLabels: selectorOf('proxy') },
      updateStrategy: {
        type: 'RollingUpdate',
        rollingUpdate: { maxUnavailable: 0, maxSurge: proxy.maxSurge },
      },
      template,
    },
  };
  const memory =
    '150 MiB is a proxy with two workers at rest; it sheds work when 70 % of its limit are ' +
    'buffered, the rest is for itself. No CPU limit: a quota would halt every connection of the ' +
    'node';
  return remarked(manifest(origin, 'proxy', subject, body), [
    {
      path: ['spec', 'updateStrategy', 'rollingUpdate', 'maxUnavailable'],
      text: 'a node whose proxy is gone drops mesh traffic: the old one goes when the new is ready',
    },
    ...podRemarks(memory),
    {
      path: [...pod, 'terminationGracePeriodSeconds'],
      text: 'longer than the drain: SIGKILL would cut what is in flight',
    },
    { path: [...pod, 'affinity'], text: 'nodes that are no machines cannot have a proxy' },
    {
      path: [...container, 'readinessProbe'],
      text:
        'synced and listeners open; each second, because a rollout and a restart wait for it. ' +
        'It stays true while draining',
    },
  ]);
}

/** Preferred, not required: a cluster of one node must get both replicas. */
const apart: JsonMap = {
  podAntiAffinity: {
    preferredDuringSchedulingIgnoredDuringExecution: [
      {
        weight: 100,
        podAffinityTerm: {
          topologyKey: 'kubernetes.io/hostname',
          labelSelector: { matchLabels: selectorOf('controller') },
        },
      },
      {
        weight: 50,
        podAffinityTerm: {
          topologyKey: 'topology.kubernetes.io/zone',
          labelSelector: { matchLabels: selectorOf('controller') },
        },
      },
    ],
  },
};

export function controllerDeployment(facts: InstallFacts): Manifest {
  const { origin, controller } = facts;
  const template = podTemplate(facts, {
    component: 'controller',
    facts: controller,
    downward: [
      ['POD_NAME', 'metadata.name'],
      ['WEFT_MESH_NAMESPACE', 'metadata.namespace'],
    ],
    ports: [],
    readiness: { periodSeconds: 5, timeoutSeconds: 2, failureThreshold: 3 },
    spec: { terminationGracePeriodSeconds: 30, affinity: apart },
  });
  const subject = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    name: 'weft-controller',
    namespace: origin.namespace,
  };
  const body = {
    spec: {
      replicas: controller.replicas,
      revisionHistoryLimit: 5,
      selector: { matchLabels: selectorOf('controller') },
      template,
    },
  };
  const memory =
    'memory is the objects of the cluster. No CPU limit: renewing the Lease must not wait';
  return remarked(manifest(origin, 'controller', subject, body), [
    ...podRemarks(memory),
    { path: [...pod, 'affinity'], text: 'apart where the cluster can; one node gets both' },
    { path: [...container, 'readinessProbe'], text: 'synced; a follower is ready, too' },
  ]);
}

/** One at a time, and never none to evict: a budget must not block a drain. */
export function controllerBudget({ origin }: InstallFacts): Manifest {
  const subject = {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    name: 'weft-controller',
    namespace: origin.namespace,
  };
  const selector = { matchLabels: selectorOf('controller') };
  return manifest(origin, 'controller', subject, { spec: { maxUnavailable: 1, selector } });
}
