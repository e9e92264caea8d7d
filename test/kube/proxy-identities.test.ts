// A proxy's certificates on a real API server: the keeper as `weft proxy` runs it, under a token
// that is bound to its pod, asks; a controller with its own account's token issues. What the keeper
// hands to its workers is what counts. The figures are printed, not asserted.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseSpiffeId, type SpiffeId } from '../../src/identity/index.ts';
import { resourcePath, watchCluster, type Connection } from '../../src/kube/index.ts';
import { openDatagrams } from '../../src/main/node-datagrams.ts';
import { nodeFiles } from '../../src/main/node-files.ts';
import { nodeKeys } from '../../src/main/node-keys.ts';
import { nodeNetwork } from '../../src/proxy/index.ts';
import { startCertificateRequests } from '../../src/proxy/certificate-requests.ts';
import { startIdentities, type RunningIdentities } from '../../src/proxy/identities.ts';
import type { Identities, ToWorker, WorkerStart } from '../../src/proxy/messages.ts';
import { proxySettingsOf } from '../../src/proxy/settings.ts';
import { startProxy, type Proxy } from '../../src/proxy/start-proxy.ts';
import { silentLog } from '../../src/telemetry/index.ts';
import {
  home,
  IdentityCluster,
  requests,
  type RunningController,
} from './support/identity-cluster.ts';
import { realRuntime } from './support/runtime.ts';
import { until } from './support/until.ts';

const many = 100;
const idOf = (account: string) =>
  `spiffe://cluster.local/ns/${account.replace('/', '/sa/')}` as SpiffeId;
const ownId = idOf(`${home}/weft-proxy`);

type KeptProxy = {
  readonly identities: RunningIdentities;
  readonly connection: Connection;
  readonly podUid: string;
  /** What a worker would hold, by identity. */
  readonly held: ReadonlyMap<string, Identities['set'][number]>;
  readonly trustPem: () => string;
  readonly stop: () => Promise<void>;
};

let cluster: IdentityCluster;
let controller: RunningController | undefined;
let proxy: KeptProxy;

function settingsOf(nodeName: string) {
  const machine = { cpus: 1, memoryLimitBytes: undefined, hasReusePort: false };
  const settings = proxySettingsOf(new Map([['node-name', [nodeName]]]), machine);
  if ('complaint' in settings) throw new Error(settings.complaint);
  return settings;
}

/** The control thread's part of a proxy that keeps identities. */
async function keep(node: string, podName = `weft-proxy-${node}`): Promise<KeptProxy> {
  const pod = { namespace: home, name: podName, node, account: 'weft-proxy' };
  const podUid = await cluster.pod({ ...pod, address: '10.9.0.1' });
  const connection = await cluster.as(home, 'weft-proxy', { name: podName, uid: podUid });
  const held = new Map<string, Identities['set'][number]>();
  let trustPem = '';
  const tunnel = { tunnelPort: 15_008, podAddress: undefined, stateDirectory: undefined };
  const identities = startIdentities({
    connection,
    runtime: realRuntime,
    log: silentLog,
    keys: nodeKeys,
    files: nodeFiles,
    settings: settingsOf(node),
    identity: { ...tunnel, podUid },
    onChange: (change) => {
      ({ trustPem } = change);
      if (change.own !== undefined) held.set(change.own.id, change.own);
      for (const credential of change.set) held.set(credential.id, credential);
      for (const id of change.removed) held.delete(id);
    },
    onOutcome: () => undefined,
  });
  if (identities === undefined) throw new Error('no certificate can name the node');
  const watch = watchCluster({
    connection,
    runtime: realRuntime,
    log: silentLog,
    podScope: { kind: 'cluster' },
    onChange: (state) => identities.follow(state),
  });
  const stop = async (): Promise<void> => {
    await Promise.all([identities.stop(), watch.stop()]);
  };
  return { identities, connection, podUid, held, trustPem: () => trustPem, stop };
}

async function setRunning(name: string, address: string): Promise<void> {
  const path = { group: '', version: 'v1', plural: 'pods', namespace: 'shop', name };
  const status = { phase: 'Running', podIP: address, podIPs: [{ ip: address }] };
  const patch = { kind: 'merge', body: { status } } as const;
  await cluster.admin.patch(resourcePath({ ...path, subresource: 'status' }), patch);
}

beforeAll(async () => {
  cluster = await IdentityCluster.start();
  for (const node of ['node-a', 'node-b']) await cluster.node(node);
  for (const name of ['web', 'far', 'late']) await cluster.account('shop', name);
  await cluster.pod({
    ...{ namespace: 'shop', name: 'web-1', node: 'node-a', account: 'web' },
    address: '10.1.0.1',
  });
  await cluster.pod({
    ...{ namespace: 'shop', name: 'far-1', node: 'node-b', account: 'far' },
    address: '10.2.0.1',
  });
  proxy = await keep('node-a');
  controller = await cluster.controller();
});

afterAll(async () => {
  await proxy.stop();
  await controller?.stop();
  await cluster.stop();
});

describe('a proxy', () => {
  test('gets its own certificate and those of its node’s pods, and no others', async () => {
    const both = [ownId, idOf('shop/web')];
    await until('the certificates', () => both.every((id) => proxy.held.has(id)));
    expect(proxy.identities.hasOwn()).toBe(true);
    expect([...proxy.held.keys()].sort()).toEqual([idOf('shop/web'), ownId].sort());
    const web = proxy.held.get(idOf('shop/web'));
    expect(web?.certificatePem).toContain('BEGIN CERTIFICATE');
    expect(web?.keyPem).toContain('BEGIN PRIVATE KEY');
    expect(proxy.trustPem()).toBe(await cluster.trust());
    const { roots, inUse } = proxy.identities.trustFacts();
    expect([roots.length, inUse]).toEqual([1, roots]);
    const facts = proxy.identities.facts();
    expect(facts.map(({ state }) => state)).toEqual(['valid', 'valid']);
    expect(JSON.stringify(facts)).not.toContain('PRIVATE');
  });

  test('that asks for an identity without a pod on its node gets only the reason', async () => {
    const { connection, podUid } = proxy;
    const asking = startCertificateRequests({
      ...{ connection, podUid, runtime: realRuntime, log: silentLog, keys: nodeKeys },
      nodeName: 'node-a',
    });
    const outcome = await asking.ask(idOf('shop/far'));
    expect(outcome).toMatchObject({ kind: 'failed', reason: 'PodMissing' });
    const foreign = await asking.ask(idOf('shop/web').replace('local', 'other') as SpiffeId);
    expect(foreign).toMatchObject({ kind: 'failed', reason: 'TrustDomainForeign' });
    await asking.stop();
  });

  test('has a certificate soon after a pod runs', async () => {
    await cluster.pod({
      ...{ namespace: 'shop', name: 'late-1', node: 'node-a', account: 'late' },
      phase: 'Pending',
    });
    const startedMs = performance.now();
    await setRunning('late-1', '10.1.0.9');
    await until('the certificate', () => proxy.held.has(idOf('shop/late')));
    const tookMs = Math.round(performance.now() - startedMs);
    console.log(`pod Running → certificate present: ${tookMs} ms`);
  });

  test(`certifies ${many} accounts whose pods start at once`, async () => {
    const names = Array.from({ length: many }, (_, index) => `many-${index}`);
    for (const name of names) {
      await cluster.account('shop', name);
      const pod = { namespace: 'shop', name, node: 'node-a', account: name };
      await cluster.pod({ ...pod, phase: 'Pending' });
    }
    const startedMs = performance.now();
    await Promise.all(names.map((name, index) => setRunning(name, `10.1.1.${index}`)));
    const runningMs = performance.now();
    const isDone = (): boolean => names.every((name) => proxy.held.has(idOf(`shop/${name}`)));
    await until('all certificates', isDone);
    const endMs = performance.now();
    const [all, last] = [endMs - startedMs, endMs - runningMs].map(Math.round);
    console.log(`${many} accounts: ${all} ms from the first pod Running, ${last} ms from the last`);
    for (const { id } of proxy.identities.facts()) expect(parseSpiffeId(id)).toBeDefined();
  });

  test('goes on with what it has while nobody answers, and gets the rest afterwards', async () => {
    await controller?.stop();
    await cluster.account('shop', 'orphan');
    await cluster.pod({
      ...{ namespace: 'shop', name: 'orphan-1', node: 'node-a', account: 'orphan' },
      address: '10.1.0.77',
    });
    const isAsked = (): boolean =>
      proxy.identities.facts().find(({ id }) => id === idOf('shop/orphan'))?.state === 'requested';
    await until('it asks', isAsked);
    expect(proxy.held.has(idOf('shop/web'))).toBe(true);
    controller = await cluster.controller();
    await until('the certificate', () => proxy.held.has(idOf('shop/orphan')));
  });

  test('leaves requests that say whose they are', async () => {
    const list = (await cluster.admin.get(resourcePath(requests), {
      labelSelector: `weft.dev/proxy-pod=${proxy.podUid}`,
    })) as { readonly items: readonly { readonly metadata: { readonly name: string } }[] };
    expect(list.items.length).toBeGreaterThan(0);
    const prefix = `weft-${proxy.podUid.slice(0, 8)}-`;
    for (const { metadata } of list.items) {
      expect(metadata.name.slice(0, prefix.length)).toBe(prefix);
      expect(metadata.name.slice(prefix.length)).toMatch(/^[0-9a-f]{16}$/);
    }
  });
});

describe('the whole control thread, with identities on', () => {
  const posted: ToWorker[] = [];
  const started: WorkerStart[] = [];
  let whole: Proxy;

  beforeAll(async () => {
    const name = 'weft-proxy-whole';
    const pod = { namespace: home, name, node: 'node-b', account: 'weft-proxy' };
    const podUid = await cluster.pod({ ...pod, address: '10.9.0.2' });
    await slice('weft-peers-test', 'node-b', '10.9.0.2');
    const connection = await cluster.as(home, 'weft-proxy', { name, uid: podUid });
    const tunnel = { tunnelPort: 15_008, podAddress: '10.9.0.2', stateDirectory: undefined };
    whole = await startProxy({
      ...{ connection, runtime: realRuntime, keys: nodeKeys, files: nodeFiles, log: silentLog },
      settings: {
        ...settingsOf('node-b'),
        ...{ bindAddresses: ['127.0.0.1'], adminPort: 0, dnsPort: 0, workers: 1 },
        identity: { ...tunnel, podUid },
      },
      network: nodeNetwork(),
      openDatagrams,
      // A worker that only listens.
      spawnWorker: (start, events) => {
        started.push(start);
        setImmediate(() => events.onMessage({ kind: 'started', hasDirectSockets: false }));
        return { post: (message) => void posted.push(message), terminate: () => undefined };
      },
      version: 'test',
      nodeVersion: process.versions.node,
      writeAccessLog: () => undefined,
      onDrainAsked: () => undefined,
    });
  });

  afterAll(async () => {
    await whole.close();
  });

  /** As the EndpointSlice controller writes them; there is none here. */
  async function slice(name: string, nodeName: string, address: string): Promise<void> {
    const path = { group: 'discovery.k8s.io', version: 'v1', plural: 'endpointslices' };
    const labels = {
      'kubernetes.io/service-name': 'weft-peers',
      'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
    };
    await cluster.admin.create(resourcePath({ ...path, namespace: home }), {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name, namespace: home, labels },
      addressType: 'IPv4',
      ports: [],
      endpoints: [{ addresses: [address], nodeName, conditions: { ready: true, serving: true } }],
    });
  }

  const page = async (path: string): Promise<string> => {
    const answer = await fetch(`http://127.0.0.1:${whole.adminPort}${path}`);
    return answer.text();
  };

  test('tells workers certificates before the first update, and keys nowhere else', async () => {
    const own = (): Identities | undefined =>
      posted.find((one) => one.kind === 'identities' && one.own !== undefined) as
        | Identities
        | undefined;
    await until('its own certificate', () => own() !== undefined);
    expect(own()?.own?.id).toBe(ownId);
    const tunnel = { port: 15_008, trustDomain: 'cluster.local', proxyId: ownId, build: 'test' };
    expect(started[0]?.settings.tunnel).toEqual(tunnel);
    const far = (one: ToWorker): boolean =>
      one.kind === 'identities' && one.set.some(({ id }) => id === idOf('shop/far'));
    await until('the certificate of its pod', () => posted.some(far));
    await until('the first update', () => posted.some(({ kind }) => kind === 'update'));
    const kinds = posted.map(({ kind }) => kind);
    expect(kinds.indexOf('identities')).toBeLessThan(kinds.indexOf('update'));
    const peered = posted.find((one) => one.kind === 'update' && one.peers !== undefined);
    const peers = peered?.kind === 'update' ? peered.peers : undefined;
    expect(peers?.dial.get('node-b')).toEqual(['10.9.0.2']);
    for (const message of posted) {
      if (message.kind === 'update') expect(JSON.stringify(message)).not.toContain('PRIVATE');
    }
  });

  test('says on its admin port what it trusts, holds and waits for', async () => {
    const version = JSON.parse(await page('/version')) as { readonly trust: unknown };
    const [root] = proxy.identities.trustFacts().roots;
    expect(version.trust).toEqual({ roots: [root], inUse: [root] });
    const text = await page('/debug/identities');
    const { items } = JSON.parse(text) as { readonly items: readonly { readonly id: string }[] };
    expect(items.map(({ id }) => id)).toEqual([ownId, idOf('shop/far')]);
    expect(text + (await page('/debug/config'))).not.toContain('PRIVATE');
    const metrics = await page('/metrics');
    expect(metrics).toContain(`weft_certificate_expiry_timestamp_seconds{identity="${ownId}"}`);
    expect(metrics).toMatch(/weft_certificate_requests_total\{result="issued"\} [1-9]/);
    expect(whole.readiness().waitsFor).not.toContain('certificates');
  });
});
