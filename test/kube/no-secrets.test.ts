// Where private keys are: in memory, in what the control thread tells its own workers, and in
// Secret `weft-ca`. A proxy and a controller run on a real API server; every key that they make is
// searched for in every object, message, page and log line, in each form that a key may take. The
// same search first finds them where they belong.
import { createPrivateKey } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { resourcePath } from '../../src/kube/index.ts';
import { openDatagrams } from '../../src/main/node-datagrams.ts';
import { nodeFiles } from '../../src/main/node-files.ts';
import { nodeKeys } from '../../src/main/node-keys.ts';
import { nodeNetwork } from '../../src/proxy/index.ts';
import type { ToWorker } from '../../src/proxy/messages.ts';
import { proxySettingsOf } from '../../src/proxy/settings.ts';
import { startProxy, type Proxy } from '../../src/proxy/start-proxy.ts';
import type { Log, LogFields } from '../../src/telemetry/index.ts';
import { home, IdentityCluster, type RunningController } from './support/identity-cluster.ts';
import { realRuntime } from './support/runtime.ts';
import { until } from './support/until.ts';

const node = 'node-a';
let cluster: IdentityCluster;
let controller: RunningController;
let proxy: Proxy;
const keyPems: string[] = [];
const posted: ToWorker[] = [];
const lines: string[] = [];

const log = (held: LogFields = {}): Log => {
  const note = (message: string, fields: LogFields = {}): void =>
    void lines.push(JSON.stringify({ message, ...held, ...fields }));
  const with_ = (fields: LogFields): Log => log({ ...held, ...fields });
  return { debug: note, info: note, warn: note, error: note, with: with_ };
};

/** What a key looks like in a text: its PEM body, its secret number, and both once more encoded. */
function formsOf(pem: string): readonly string[] {
  const key = createPrivateKey(pem);
  const { d = '' } = key.export({ format: 'jwk' });
  const secret = Buffer.from(d, 'base64url');
  const body = pem.split('\n').slice(1, -2).join('');
  // The first line of the body begins as every key of this kind; the second is its own.
  const own = pem.split('\n')[2] ?? '';
  const again = Buffer.from(pem).toString('base64').slice(60, 160);
  return [body, own, d, secret.toString('hex'), secret.toString('base64'), again];
}

/** Which keys stand in the text. */
function keysIn(text: string): number {
  return keyPems.filter((pem) => formsOf(pem).some((form) => text.includes(form))).length;
}

beforeAll(async () => {
  cluster = await IdentityCluster.start();
  await cluster.node(node);
  await cluster.account('shop', 'web');
  const web = { namespace: 'shop', name: 'web-1', node, account: 'web' };
  await cluster.pod({ ...web, address: '10.1.0.1' });
  controller = await cluster.controller();
  const pod = { namespace: home, name: 'weft-proxy-a', node, account: 'weft-proxy' };
  const podUid = await cluster.pod({ ...pod, address: '10.9.0.2' });
  const machine = { cpus: 1, memoryLimitBytes: undefined, hasReusePort: false };
  const settings = proxySettingsOf(new Map([['node-name', [node]]]), machine);
  if ('complaint' in settings) throw new Error(settings.complaint);
  const makeKey: typeof nodeKeys.makeKey = async () => {
    const key = await nodeKeys.makeKey();
    keyPems.push(key.privateKeyPem);
    return key;
  };
  proxy = await startProxy({
    connection: await cluster.as(home, 'weft-proxy', { name: pod.name, uid: podUid }),
    ...{ runtime: realRuntime, keys: { ...nodeKeys, makeKey }, files: nodeFiles, log: log() },
    settings: {
      ...settings,
      ...{ bindAddresses: ['127.0.0.1'], adminPort: 0, dnsPort: 0, workers: 1 },
      identity: { tunnelPort: 15_008, podAddress: '10.9.0.2', stateDirectory: undefined, podUid },
    },
    network: nodeNetwork(),
    openDatagrams,
    spawnWorker: (_start, events) => {
      setImmediate(() => events.onMessage({ kind: 'started', hasDirectSockets: false }));
      return { post: (message) => void posted.push(message), terminate: () => undefined };
    },
    version: 'test',
    nodeVersion: process.versions.node,
    writeAccessLog: (text) => void lines.push(text),
    onDrainAsked: () => undefined,
  });
  await until('both certificates', () => {
    const issued = lines.filter((line) => line.includes('certificate in force'));
    return issued.length === 2;
  });
  keyPems.push(await cluster.text('secrets', 'weft-ca', 'tls.key'));
}, 120_000);

afterAll(async () => {
  await proxy.close();
  await controller.stop();
  await cluster.stop();
});

test('keys are found where they belong', async () => {
  expect(keyPems.length).toBeGreaterThanOrEqual(3);
  const told = posted.filter(({ kind }) => kind === 'identities');
  expect(keysIn(told.flatMap((one) => JSON.stringify(one).replaceAll('\\n', '\n')).join())).toBe(2);
  const secrets = await cluster.admin.get(resourcePath({ ...core, plural: 'secrets' }));
  expect(keysIn(JSON.stringify(secrets))).toBe(1);
});

const core = { group: '', version: 'v1' };

test.each([
  { ...core, plural: 'configmaps' },
  { ...core, plural: 'events' },
  { ...core, plural: 'pods' },
  { ...core, plural: 'services' },
  { ...core, plural: 'namespaces' },
  { group: 'certificates.k8s.io', version: 'v1', plural: 'certificatesigningrequests' },
  { group: 'coordination.k8s.io', version: 'v1', plural: 'leases' },
])('no key is in an object of $plural', async (kind) => {
  expect(keysIn(JSON.stringify(await cluster.admin.get(resourcePath(kind))))).toBe(0);
});

test('no key is in what workers are told besides, in a page or in a line of a log', async () => {
  const updates = posted.filter(({ kind }) => kind !== 'identities');
  expect(updates.length).toBeGreaterThan(0);
  const asText = (value: unknown): string =>
    JSON.stringify(value, (_key, one: unknown) => (one instanceof Map ? [...one] : one));
  expect(keysIn(asText(updates))).toBe(0);
  const paths = ['/metrics', '/version', '/readyz'];
  const debug = ['config', 'problems', 'identities', 'watch', 'drain', 'version'];
  const all = [...paths, ...debug.map((one) => `/debug/${one}`)];
  for (const port of [proxy.adminPort, controller.controller.adminPort]) {
    for (const path of all) {
      const answer = await fetch(`http://127.0.0.1:${port}${path}`);
      expect(keysIn(await answer.text()), path).toBe(0);
    }
  }
  expect(lines.length).toBeGreaterThan(3);
  expect(keysIn([...lines, JSON.stringify(controller.lines)].join('\n'))).toBe(0);
});
