// Which slices a Service gets for which pods. The shapes are those that the EndpointSlice
// controller of a real cluster writes, but for its names.
import { describe, expect, test } from 'vitest';
import { listAt, textAt, type Json, type JsonObject } from '../server/json.ts';
import { desiredSlices } from './endpoint-slices.ts';

const service: JsonObject = {
  metadata: { name: 'web', namespace: 'shop', uid: 'u1' },
  spec: { selector: { app: 'web' }, ports: [{ name: 'http', port: 80, targetPort: 'http' }] },
};

type PodWish = {
  readonly name: string;
  readonly port?: number;
  readonly isReady?: boolean;
  readonly isDeleting?: boolean;
  readonly address?: string;
  readonly phase?: string;
  readonly app?: string;
};

function pod(wish: PodWish): JsonObject {
  const metadata: JsonObject = {
    name: wish.name,
    namespace: 'shop',
    uid: `uid-${wish.name}`,
    labels: { app: wish.app ?? 'web' },
  };
  if (wish.isDeleting === true) metadata.deletionTimestamp = '2026-01-01T00:00:00Z';
  const ports = [{ name: 'http', containerPort: wish.port ?? 8080 }];
  return {
    metadata,
    spec: { nodeName: 'node-1', containers: [{ name: 'c', ports }] },
    status: {
      phase: wish.phase ?? 'Running',
      podIP: wish.address ?? '10.0.0.1',
      conditions: [{ type: 'Ready', status: wish.isReady === false ? 'False' : 'True' }],
    },
  };
}

const asDeclared = (_pod: JsonObject, port: number): number => port;

function endpointsOf(slices: readonly JsonObject[]): readonly Json[] {
  return slices.flatMap((slice) => listAt(slice, 'endpoints'));
}

describe('desired slices', () => {
  test('name pods by address, node and reference, and the resolved port', () => {
    const [slice] = desiredSlices(service, [pod({ name: 'a' })], asDeclared);
    expect(slice).toMatchObject({
      metadata: {
        namespace: 'shop',
        labels: {
          'kubernetes.io/service-name': 'web',
          'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
        },
      },
      addressType: 'IPv4',
      ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
      endpoints: [
        {
          addresses: ['10.0.0.1'],
          conditions: { ready: true, serving: true, terminating: false },
          nodeName: 'node-1',
          targetRef: { kind: 'Pod', name: 'a', namespace: 'shop', uid: 'uid-a' },
        },
      ],
    });
  });

  test('tell ready, not ready and terminating apart', () => {
    const pods = [
      pod({ name: 'a' }),
      pod({ name: 'b', isReady: false }),
      pod({ name: 'c', isDeleting: true }),
    ];
    const conditions = endpointsOf(desiredSlices(service, pods, asDeclared)).map((endpoint) =>
      textAt({ of: JSON.stringify((endpoint as JsonObject).conditions) }, 'of'),
    );
    expect(conditions).toEqual([
      '{"ready":true,"serving":true,"terminating":false}',
      '{"ready":false,"serving":false,"terminating":false}',
      '{"ready":false,"serving":true,"terminating":true}',
    ]);
  });

  test('leave out pods of other labels, without an address, or finished', () => {
    const pods = [
      pod({ name: 'a', app: 'other' }),
      pod({ name: 'b', address: '' }),
      pod({ name: 'c', phase: 'Succeeded' }),
      pod({ name: 'd', phase: 'Failed' }),
    ];
    expect(desiredSlices(service, pods, asDeclared)).toEqual([]);
  });

  test('are one per set of resolved ports', () => {
    const pods = [
      pod({ name: 'a', port: 8080 }),
      pod({ name: 'b', port: 9090 }),
      pod({ name: 'c', port: 8080 }),
    ];
    const slices = desiredSlices(service, pods, asDeclared);
    expect(slices.map((slice) => listAt(slice, 'endpoints').length).toSorted()).toEqual([1, 2]);
    expect(new Set(slices.map((slice) => textAt(slice, 'metadata', 'name'))).size).toBe(2);
  });

  test('of a Service that publishes unready addresses call them ready, not serving', () => {
    const spec = { ...(service.spec as JsonObject), publishNotReadyAddresses: true };
    const pods = [pod({ name: 'a', isReady: false })];
    const [endpoint] = endpointsOf(desiredSlices({ ...service, spec }, pods, asDeclared));
    expect(endpoint).toMatchObject({ conditions: { ready: true, serving: false } });
    const leaving = [pod({ name: 'b', isDeleting: true })];
    const [last] = endpointsOf(desiredSlices({ ...service, spec }, leaving, asDeclared));
    const conditions = { ready: true, serving: true, terminating: true };
    expect(last).toMatchObject({ conditions });
  });
});
