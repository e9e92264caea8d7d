// The cluster watch as a whole, against a server in memory that has only some of the kinds.
// How single kinds are followed is the matter of reflector.test.ts.
import { describe, expect, test } from 'vitest';
import { ByteStream } from '../../test/kube/support/byte-stream.ts';
import { FakeRuntime } from '../../test/kube/support/fake-runtime.ts';
import type { ClusterState } from '../api/index.ts';
import { silentLog } from '../telemetry/index.ts';
import { connectionOver } from './connection.ts';
import type { Transport, TransportAnswer, TransportRequest } from './transport.ts';
import type { PodScope } from './watch-cluster.ts';
import { watchCluster } from './watch-cluster.ts';

const builtIn = ['services', 'pods', 'nodes', 'namespaces', 'endpointslices'];

/** Empty lists of the built-in kinds, streams that a test writes to, no other kind. */
class EmptyServer {
  readonly targets: string[] = [];
  readonly streams = new Map<string, ByteStream>();
  /** This kind's list does not end. */
  slowKind = '';
  readonly transport: Transport = {
    server: 'https://memory',
    send: (request) => Promise.resolve(this.#answer(request)),
    close: () => Promise.resolve(),
  };

  send(plural: string, type: string, object: unknown): void {
    this.streams.get(plural)?.push(`${JSON.stringify({ type, object })}\n`);
  }

  endInitial(plural: string): void {
    const annotations = { 'k8s.io/initial-events-end': 'true' };
    this.send(plural, 'BOOKMARK', { metadata: { resourceVersion: '10', annotations } });
  }

  #answer(request: TransportRequest): TransportAnswer {
    this.targets.push(request.target);
    const plural = new URL(request.target, 'https://x').pathname.split('/').at(-1) ?? '';
    const body = new ByteStream();
    if (!builtIn.includes(plural)) {
      body.end();
      return { status: 404, retryAfterMs: undefined, body };
    }
    request.signal.addEventListener('abort', () => body.end());
    // Those of other nodes have a watch of their own.
    const name = request.target.includes('%21%3D') ? `${plural}!=` : plural;
    this.streams.set(name, body);
    if (name !== this.slowKind) this.endInitial(name);
    return { status: 200, retryAfterMs: undefined, body };
  }
}

function watched(podScope: PodScope = { kind: 'cluster' }, slowKind = '') {
  const fake = new FakeRuntime();
  const server = new EmptyServer();
  server.slowKind = slowKind;
  const states: ClusterState[] = [];
  const watch = watchCluster({
    connection: connectionOver(server.transport, fake.runtime),
    runtime: fake.runtime,
    log: silentLog,
    podScope,
    onChange: (state) => states.push(state),
  });
  return { fake, server, states, watch };
}

const namespace = (name: string): unknown => ({
  metadata: { name, uid: `uid-${name}`, resourceVersion: '11' },
});

describe('a cluster watch', () => {
  test('reports once when everything was listed, kinds that do not exist among it', async () => {
    const { fake, states, watch } = watched();
    await fake.advance(100);
    expect(watch.isSynced()).toBe(true);
    expect(states).toHaveLength(1);
    expect(watch.status().map((status) => status.kind)).toHaveLength(10);
    await watch.stop();
    expect(fake.timerCount).toBe(0);
  });

  test('reports nothing while one kind is not listed, whatever else happens', async () => {
    const { fake, server, states, watch } = watched({ kind: 'cluster' }, 'pods');
    await fake.advance(100);
    server.send('namespaces', 'ADDED', namespace('shop'));
    // A bookmark, but not the one that ends the list.
    server.send('pods', 'BOOKMARK', { metadata: { resourceVersion: '5' } });
    await fake.advance(5_000);
    expect(watch.isSynced()).toBe(false);
    expect(states).toEqual([]);
    server.endInitial('pods');
    await fake.advance(100);
    expect(states).toHaveLength(1);
    expect(states[0]?.namespaces.has('shop')).toBe(true);
    await watch.stop();
  });

  test('reports changes after the hold-off, and none for events that change nothing', async () => {
    const { fake, server, states, watch } = watched();
    await fake.advance(100);
    server.send('namespaces', 'ADDED', namespace('shop'));
    server.send('namespaces', 'ADDED', namespace('bank'));
    await fake.advance(1);
    expect(states).toHaveLength(1);
    await fake.advance(2);
    expect(states).toHaveLength(2);
    expect(states[1]?.namespaces.size).toBe(2);
    server.send('namespaces', 'MODIFIED', namespace('shop'));
    await fake.advance(1_000);
    expect(states).toHaveLength(2);
    await watch.stop();
  });

  const pod = (name: string, nodeName: string, createdAt = '2024-01-01T00:00:00Z') => ({
    metadata: {
      ...{ name, namespace: 'shop', uid: `uid-${name}-${nodeName}`, resourceVersion: '11' },
      creationTimestamp: createdAt,
    },
    spec: { nodeName, serviceAccountName: 'web' },
    status: { phase: 'Running', podIP: '10.1.0.1', podIPs: [{ ip: '10.1.0.1' }] },
  });
  const others = 'pods!=';
  const namesIn = (state: ClusterState): readonly string[] =>
    [...state.pods].map(([key, { nodeName }]) => `${key} on ${nodeName ?? ''}`).sort();

  test('tells the pods of other nodes while they are wanted, and its own ones always', async () => {
    const { fake, server, states, watch } = watched({ kind: 'node', nodeName: 'node-1' });
    await fake.advance(100);
    server.send('pods', 'ADDED', pod('own', 'node-1'));
    await fake.advance(100);
    expect(watch.knowsAllPods()).toBe(false);
    server.slowKind = others;
    watch.followOtherPods(true);
    watch.followOtherPods(true);
    await fake.advance(100);
    server.send(others, 'ADDED', pod('far', 'node-2'));
    await fake.advance(100);
    // Half a list is none.
    expect(watch.knowsAllPods()).toBe(false);
    expect(namesIn(watch.state())).toEqual(['shop/own on node-1']);
    server.endInitial(others);
    await fake.advance(100);
    expect(watch.knowsAllPods()).toBe(true);
    expect(namesIn(watch.state())).toEqual(['shop/far on node-2', 'shop/own on node-1']);
    server.send('pods', 'ADDED', pod('own-2', 'node-1'));
    await fake.advance(100);
    expect(watch.state().pods.size).toBe(3);
    watch.followOtherPods(false);
    expect([watch.knowsAllPods(), watch.state().pods.size]).toEqual([false, 2]);
    await fake.advance(1_000);
    for (const state of states.slice(1)) expect(state.pods.has('shop/own')).toBe(true);
    expect(server.targets.filter((target) => target.includes('nodeName%21%3D'))).toHaveLength(1);
    await watch.stop();
    expect(fake.timerCount).toBe(0);
  });

  test('knows a pod that comes back on another node, however late the old one goes', async () => {
    const { fake, server, watch } = watched({ kind: 'node', nodeName: 'node-1' });
    watch.followOtherPods(true);
    await fake.advance(100);
    server.send(others, 'ADDED', pod('db-0', 'node-2', '2024-01-01T00:00:00Z'));
    server.send('pods', 'ADDED', pod('db-0', 'node-1', '2024-01-01T00:00:09Z'));
    // The watch of the others is behind.
    server.send(others, 'MODIFIED', pod('db-0', 'node-2', '2024-01-01T00:00:00Z'));
    await fake.advance(100);
    expect(namesIn(watch.state())).toEqual(['shop/db-0 on node-1']);
    server.send(others, 'DELETED', pod('db-0', 'node-2', '2024-01-01T00:00:00Z'));
    await fake.advance(100);
    expect(namesIn(watch.state())).toEqual(['shop/db-0 on node-1']);
    server.send(others, 'ADDED', pod('db-0', 'node-2', '2024-01-01T00:01:00Z'));
    await fake.advance(100);
    expect(namesIn(watch.state())).toEqual(['shop/db-0 on node-2']);
    await watch.stop();
  });

  test('can be narrowed to the pods of one node', async () => {
    const { fake, server, watch } = watched({ kind: 'node', nodeName: 'node-1' });
    await fake.advance(100);
    const narrowed = server.targets.filter((target) => target.includes('fieldSelector'));
    expect(narrowed).toHaveLength(1);
    expect(narrowed[0]).toContain('/pods?fieldSelector=spec.nodeName%3Dnode-1&');
    await watch.stop();
  });
});
