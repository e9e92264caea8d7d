// The store: what counts as a change, what is urgent, and that a state that was handed out stays.
// Events are put into its sinks by hand, as a reflector would.
import { describe, expect, test } from 'vitest';
import type { EndpointSlice, Namespace, Service } from '../api/index.ts';
import type { Change } from './store.ts';
import { ClusterStore } from './store.ts';

function meta(name: string, facts: { readonly uid?: string; readonly stops?: boolean } = {}) {
  return {
    namespace: 'shop',
    name,
    uid: facts.uid ?? `uid-${name}`,
    generation: 1,
    createdMs: 0,
    labels: new Map<string, string>(),
    annotations: new Map(facts.stops === true ? [['weft.dev/traffic', 'stop']] : []),
  };
}

function service(name: string, facts: Parameters<typeof meta>[1] & { port?: number } = {}) {
  const value: Service = {
    kind: 'Service',
    meta: meta(name, facts),
    type: 'ClusterIP',
    clusterIps: ['10.96.0.1'],
    isHeadless: false,
    hasSelector: true,
    ports: [
      {
        name: '',
        port: facts.port ?? 80,
        protocol: 'TCP',
        appProtocol: undefined,
        targetPort: 8080,
      },
    ],
  };
  return { value, problems: [] };
}

function slice(name: string, address: string) {
  const value: EndpointSlice = {
    kind: 'EndpointSlice',
    meta: meta(name),
    serviceName: 'web',
    isManaged: true,
    addressType: 'IPv4',
    ports: [],
    endpoints: [
      {
        addresses: [address],
        isReady: true,
        isServing: true,
        isTerminating: false,
        nodeName: undefined,
        podName: undefined,
      },
    ],
  };
  return { value, problems: [] };
}

function watched() {
  const store = new ClusterStore();
  const changes: Change[] = [];
  store.subscribe((change) => changes.push(change));
  return { store, changes, services: store.sinkFor('Service') };
}

describe('a change', () => {
  test('is told once for an object that is new, and not for one that is equal', () => {
    const { services, changes } = watched();
    services.put('shop/web', service('web'));
    services.put('shop/web', service('web'));
    expect(changes).toEqual([{ kind: 'Service', isUrgent: false }]);
  });

  test('is told for another field, another uid and a deletion', () => {
    const { store, services, changes } = watched();
    services.put('shop/web', service('web'));
    services.put('shop/web', service('web', { port: 81 }));
    services.put('shop/web', service('web', { port: 81, uid: 'next' }));
    services.remove('shop/web', 'next');
    expect(changes).toHaveLength(4);
    expect(store.state().services.size).toBe(0);
  });

  test('is urgent for endpoints, and for traffic that stops or goes on', () => {
    const { store, services, changes } = watched();
    store.sinkFor('EndpointSlice').put('shop/web-1', slice('web-1', '10.0.0.1'));
    services.put('shop/web', service('web'));
    services.put('shop/web', service('web', { stops: true }));
    services.put('shop/web', service('web'));
    expect(changes.map((change) => change.isUrgent)).toEqual([true, false, true, true]);
  });

  test('is told when only the problems of an object change', () => {
    const { store, changes } = watched();
    const problem = {
      reason: 'InvalidObject',
      kind: 'Namespace',
      namespace: '',
      name: 'shop',
      message: 'give it a name',
    } as const;
    const value: Namespace = { kind: 'Namespace', meta: meta('shop') };
    const sink = store.sinkFor('Namespace');
    sink.put('shop', { value, problems: [] });
    sink.put('shop', { value, problems: [problem] });
    expect(store.state().problems).toEqual([problem]);
    sink.put('shop', { value: undefined, problems: [problem] });
    expect(store.state().namespaces.size).toBe(0);
    sink.remove('shop', '');
    expect(store.state().problems).toEqual([]);
    expect(changes).toHaveLength(4);
  });

  test('is not a late deletion of a predecessor', () => {
    const { store, services } = watched();
    services.put('shop/web', service('web', { uid: 'new' }));
    services.remove('shop/web', 'old');
    expect(store.state().services.size).toBe(1);
  });
});

describe('a state', () => {
  test('never changes once it was handed out', () => {
    const { store, services } = watched();
    services.put('shop/web', service('web'));
    const before = store.state();
    services.put('shop/api', service('api'));
    services.remove('shop/web', 'uid-web');
    expect([...before.services.keys()]).toEqual(['shop/web']);
    expect([...store.state().services.keys()]).toEqual(['shop/api']);
  });

  test('is the same value until something changes', () => {
    const { store, services } = watched();
    services.put('shop/web', service('web'));
    const before = store.state();
    services.put('shop/web', service('web'));
    expect(store.state()).toBe(before);
  });

  test('takes hostile names for names', () => {
    const { store, services } = watched();
    for (const name of ['constructor', '__proto__', 'toString']) {
      services.put(`shop/${name}`, service(name));
    }
    expect(store.state().services.size).toBe(3);
    expect(store.state().services.get('shop/__proto__')?.meta.name).toBe('__proto__');
  });
});

describe('a replacement', () => {
  test('shows nothing before it is committed, and then exactly what it was given', () => {
    const { store, services, changes } = watched();
    services.put('shop/web', service('web'));
    services.put('shop/gone', service('gone'));
    const replacement = services.replace();
    replacement.put('shop/web', service('web', { port: 81 }));
    replacement.put('shop/new', service('new'));
    expect(store.state().services.has('shop/new')).toBe(false);
    replacement.commit();
    expect([...store.state().services.keys()]).toEqual(['shop/web', 'shop/new']);
    expect(changes).toHaveLength(3);
  });

  test('that changes nothing is no change, and keeps the objects themselves', () => {
    const { store, services, changes } = watched();
    services.put('shop/web', service('web'));
    const before = store.state().services.get('shop/web');
    const replacement = services.replace();
    replacement.put('shop/web', service('web'));
    replacement.commit();
    expect(changes).toHaveLength(1);
    expect(store.state().services.get('shop/web')).toBe(before);
  });

  test('with one object less is a change', () => {
    const { store, services, changes } = watched();
    services.put('shop/web', service('web'));
    services.replace().commit();
    expect(changes).toHaveLength(2);
    expect(store.state().services.size).toBe(0);
  });
});
