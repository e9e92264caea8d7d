// Random small clusters for laws: few names, so that objects meet, contradict and miss each other
// often. One seed gives one cluster.
import type { HttpMatch, SplitBackend, Subject, TargetRule } from '../../src/api/index.ts';
import type { Random } from '../../src/lib/clock.ts';
import {
  entryOf,
  groupOf,
  metaOf,
  namespaceOf,
  nodeOf,
  podOf,
  portOf,
  serviceOf,
  sliceOf,
  splitOf,
  targetOf,
  tcpRouteOf,
  type AnyObject,
} from './builders.ts';

export const namespaces = ['shop', 'pay', 'constructor'] as const;
export const accounts = ['web', 'api', 'front', '__proto__'] as const;
export const services = ['web', 'api', 'v1', 'v2', 'tostring'] as const;
export const ports = [80, 8080, 9090] as const;
export const paths = ['/', '/api', '/api/x', '/metrics', '/b'] as const;
export const methods = ['GET', 'POST', 'DELETE'] as const;
const groups = ['routes', 'more', 'gone'] as const;
const tcpRoutes = ['main', 'all', 'lost'] as const;
const patterns = ['/', '/api', '/metrics$', '/(a|b)', '.*', '/['] as const;

export function oneOf<T>(items: readonly [T, ...T[]] | readonly T[], random: Random): T {
  const item = items[Math.floor(random() * items.length)];
  if (item === undefined) throw new Error('nothing to choose from');
  return item;
}

function many<T>(max: number, random: Random, make: (index: number) => T): readonly T[] {
  return Array.from({ length: Math.floor(random() * (max + 1)) }, (_, index) => make(index));
}

/** Objects of one cluster; each key once. */
export function randomObjects(random: Random): readonly AnyObject[] {
  const objects: AnyObject[] = [nodeOf('node-1', ['192.168.0.1'])];
  for (const [index, namespace] of namespaces.entries()) {
    const policy = oneOf(['off', 'audit', 'enforce', 'enforce'], random);
    const timeout = oneOf(['1s', '2s'], random);
    objects.push(
      namespaceOf(namespace, { 'weft.dev/policy': policy, 'weft.dev/timeout': timeout }),
    );
    for (const [at, name] of services.entries()) {
      if (random() < 0.8)
        objects.push(...randomService(`${namespace}/${name}`, `10.${index}.${at}`, random));
    }
    objects.push(...randomRules(namespace, random));
  }
  return objects;
}

function randomService(path: string, network: string, random: Random): readonly AnyObject[] {
  const listed = ports
    .filter(() => random() < 0.7)
    .map((port) => portOf(port, { name: `p${port}` }));
  const pods = many(3, random, (index) => {
    const address = `${network}.${index + 1}`;
    const serviceAccount = oneOf(accounts, random);
    return podOf(`${path}-${index}`, { addresses: [address], serviceAccount });
  });
  const endpoints = pods.map(({ meta, addresses }) =>
    entryOf(addresses[0] ?? '', { podName: meta.name, isReady: random() < 0.8 }),
  );
  const slicePorts = listed.map(({ name, port }) => {
    return { name, port: port + oneOf([0, 1000], random), protocol: 'TCP' as const };
  });
  const slice = sliceOf(path, { ports: slicePorts, endpoints });
  return [serviceOf(path, { ports: listed }), slice, ...pods];
}

function randomRules(namespace: string, random: Random): readonly AnyObject[] {
  const age = (): number => Math.floor(random() * 3) * 1_000;
  const aged = (path: string) => metaOf(path, { createdMs: age() });
  const routes: AnyObject[] = groups.slice(0, 2).map((name) =>
    groupOf(
      `${namespace}/${name}`,
      many(3, random, () => randomMatch(random)),
    ),
  );
  routes.push(tcpRouteOf(`${namespace}/main`, [8080, 9080]), tcpRouteOf(`${namespace}/all`));
  const targets = many(5, random, (index) => {
    const sources = many(3, random, () => randomSubject(random));
    const rules = random() < 0.1 ? undefined : many(3, random, () => randomRule(random));
    const destinationPort = random() < 0.2 ? 8080 : undefined;
    const destination = { ...randomSubject(random), namespace: random() < 0.9 ? undefined : 'pay' };
    const path = `${namespace}/target-${index}`;
    const given = { meta: aged(path), sources, rules, destinationPort, destination };
    return targetOf(path, '', [], given);
  });
  const splits = many(4, random, (index) => {
    const matches = random() < 0.5 ? undefined : many(2, random, () => oneOf(groups, random));
    const service = oneOf([...services, 'app.example.com', 'web.pay.mesh'], random);
    const path = `${namespace}/split-${index}`;
    const backends = many(3, random, () => randomBackend(random));
    return splitOf(path, service, {}, { meta: aged(path), matches, backends });
  });
  return [...routes, ...targets, ...splits];
}

function randomMatch(random: Random): Partial<HttpMatch> {
  return {
    name: oneOf(['a', 'b', 'c'], random),
    pathRegex: random() < 0.3 ? undefined : oneOf(patterns, random),
    methods: random() < 0.5 ? undefined : [oneOf(methods, random)],
    headers: random() < 0.8 ? [] : [{ name: 'x-beta', pattern: 'yes' }],
  };
}

function randomSubject(random: Random): Subject {
  return {
    kind: random() < 0.95 ? 'ServiceAccount' : 'Group',
    name: oneOf(accounts, random),
    namespace: random() < 0.2 ? undefined : oneOf(namespaces, random),
  };
}

function randomRule(random: Random): TargetRule {
  if (random() < 0.4)
    return { kind: 'TCPRoute', name: oneOf(tcpRoutes, random), matches: undefined };
  const matches = random() < 0.5 ? undefined : [oneOf(['a', 'b', 'z'], random)];
  return { kind: 'HTTPRouteGroup', name: oneOf(groups, random), matches };
}

function randomBackend(random: Random): SplitBackend {
  const weight = oneOf([0, 1, 2, 5, 10, 33, 90], random);
  return { service: oneOf([...services, 'gone'], random), weight };
}
