// Who is who when things move and somebody cheats: a pod that comes back on another node, a
// proxy's token in a pod elsewhere, a pod that poses as its neighbour on the node's bridge. Runs
// on what 10-mutual-tls left: the mesh is permissive, `vault` enforces policy.
import { readFileSync } from 'node:fs';
import { ModuleKind, ScriptTarget, transpileModule } from 'typescript';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { outcome } from './support/calls.ts';
import { meshNamespace, podsOf, proxies, rolledOut, type Pod } from './support/cluster.ts';
import { apply, kubectl, type Json } from './support/kubectl.ts';
import { metricSum } from './support/metrics.ts';
import { annotateMtls } from './support/mtls.ts';
import { idle, plainPod } from './support/objects.ts';
import { askWith, knock, tokenOf, type Granted } from './support/stolen.ts';
import { until } from './support/until.ts';
import {
  askLedger,
  createVault,
  deskOn,
  ledgerHost,
  ledgerOn,
  seenIn,
  twoNodes,
  type Who,
} from './support/vault.ts';

let nodes: Awaited<ReturnType<typeof twoNodes>>;

beforeAll(async () => {
  nodes = await twoNodes();
  await createVault();
  await annotateMtls('vault', 'strict');
});

afterAll(async () => {
  await annotateMtls('vault', undefined);
  await kubectl(['delete', 'namespace', 'yard', '--ignore-not-found', '--timeout=60s']);
});

async function putPod(name: string, who: Who, nodeName: string): Promise<void> {
  await kubectl(['-n', 'desk', 'delete', 'pod', name, '--ignore-not-found', '--grace-period=1']);
  await apply([plainPod({ namespace: 'desk', name, serviceAccount: who, nodeName }, idle)]);
  await kubectl(['-n', 'desk', 'wait', `pod/${name}`, '--for=condition=Ready', '--timeout=60s']);
}

async function untilOutcome(name: string, wanted: string): Promise<number> {
  const startedMs = Date.now();
  await until(`${name}: ${wanted}`, async () => {
    const got = outcome(await askLedger({ namespace: 'desk', client: `pod/${name}` }));
    // Whatever it is taken for meanwhile: never for somebody who may do more.
    if (wanted !== '200') expect(got).not.toBe('200');
    return got === wanted ? true : undefined;
  });
  return Date.now() - startedMs;
}

describe('pods that move', () => {
  test('a caller that comes back on another node is who it was, and another is not', async () => {
    for (const node of [nodes.home, nodes.far, nodes.home]) {
      await putPod('mover', 'teller', node);
      const served = await untilOutcome('mover', '200');
      await putPod('mover', 'thief', node);
      const refused = await untilOutcome('mover', '403 SourceNotAllowed');
      console.log(`${node}: served after ${served} ms, the thief refused after ${refused} ms`);
    }
    await kubectl(['-n', 'desk', 'delete', 'pod', 'mover', '--grace-period=1']);
  });

  test('a pod that is called moves to the caller’s node and back', async () => {
    for (const node of [nodes.far, nodes.home]) {
      await apply([ledgerOn(node)]);
      await rolledOut('vault', 'deployment/ledger');
      await until(`the ledger answers from ${node}`, async () => {
        const answer = await askLedger(deskOn('teller', nodes.far));
        expect(outcome(answer)).toBe('200');
        const [pod, ...others] = await podsOf('vault', 'app=ledger');
        const isThere = others.length === 0 && pod?.spec.nodeName === node;
        return isThere && seenIn(answer).pod === pod?.metadata.name ? true : undefined;
      });
      expect(outcome(await askLedger(deskOn('thief', nodes.far)))).toBe('403 SourceNotAllowed');
    }
  });
});

const domain = 'spiffe://cluster.local';

describe('a proxy’s token, stolen', () => {
  let token: string;
  let running: ReadonlyMap<string, Pod>;
  let ledger: Granted;

  const podOn = (node: string): Pod => {
    const pod = running.get(node);
    if (pod === undefined) throw new Error(`no proxy on ${node}`);
    return pod;
  };
  const wish = (name: string, account: string, node: string) =>
    askWith({ token, name: `weft-stolen-${name}`, spiffeId: `${domain}/ns/${account}`, node });

  beforeAll(async () => {
    running = await proxies();
    token = await tokenOf(podOn(nodes.home).metadata.name);
  });

  test('mints nothing that has no pod on that node, and nothing for another node', async () => {
    expect((await wish('absent', 'shop/sa/api-v9', nodes.home)).reason).toBe('PodMissing');
    expect((await wish('node', 'vault/sa/ledger', nodes.far)).reason).toBe('NodeMismatch');
    const signers = (await wish('signer', 'weft-system/sa/weft-controller', nodes.far)).reason;
    expect(signers).toBe('NodeMismatch');
  });

  test('mints what that node may have', async () => {
    ledger = await wish('ledger', 'vault/sa/ledger', nodes.home);
    expect(ledger.reason).toBe('issued');
  });

  test('which is of use at that node’s proxy alone', async () => {
    const inProxy = (node: string) => ['-n', meshNamespace, podOn(node).metadata.name];
    const at = podOn(nodes.far).status.podIP ?? '';
    // That the certificate is good for something: from where the token was stolen.
    expect((await knock(inProxy(nodes.home), at, ledger)).said).toMatch(/^ok /);
    // From another node's proxy: the address is a proxy's, the node is another one.
    const home = podOn(nodes.home).status.podIP ?? '';
    expect((await knock(inProxy(nodes.far), home, ledger)).said).toMatch(/^no NodeMismatch /);
    // From a pod on either node: no byte is read.
    for (const node of [nodes.home, nodes.far]) {
      for (const host of [home, at]) {
        const pod = ['-n', 'desk', `deploy/thief-${node}`];
        const { isSecured, said } = await knock(pod, host, ledger);
        expect({ isSecured, said }, `${node} → ${host}`).toEqual({ isSecured: false, said: '' });
      }
    }
  });
});

/** Default capabilities, NET_RAW among them, and the tools that the kit's own image has. */
function spoofer(nodeName: string, program: string): readonly Json[] {
  // The Node of that image need not take types.
  const target = { target: ScriptTarget.ES2022, module: ModuleKind.ESNext };
  const { outputText } = transpileModule(program, { compilerOptions: target });
  const data = { 'spoof.mjs': outputText };
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'yard' } },
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace: 'yard', name: 'spoof' }, data },
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { namespace: 'yard', name: 'spoofer' },
      spec: {
        nodeSelector: { 'kubernetes.io/hostname': nodeName },
        terminationGracePeriodSeconds: 1,
        containers: [
          {
            name: 'spoofer',
            image: 'weft-test/box:dev',
            imagePullPolicy: 'Never',
            command: ['sleep', 'infinity'],
            volumeMounts: [{ name: 'spoof', mountPath: '/programs' }],
          },
        ],
        volumes: [{ name: 'spoof', configMap: { name: 'spoof' } }],
      },
    },
  ];
}

describe('a pod that poses as its neighbour', () => {
  test('finishes a TCP handshake, and is SourceUnknown', async () => {
    const text = readFileSync(new URL('./programs/spoof.ts', import.meta.url), 'utf8');
    await apply(spoofer(nodes.home, text));
    await putPod('victim', 'teller', nodes.home);
    await kubectl(['-n', 'yard', 'wait', 'pod/spoofer', '--for=condition=Ready', '--timeout=60s']);
    await untilOutcome('victim', '200');
    const before = await metricSum('weft_sources_disputed', {});
    const victim = await kubectl([
      ...['-n', 'desk', 'get', 'pod', 'victim', '-o', 'jsonpath={.status.podIP}'],
    ]);
    const proxy = (await proxies()).get(nodes.home)?.status.podIP ?? '';
    const target = ['-o', 'jsonpath={.spec.ports[?(@.port==80)].targetPort}'];
    const port = await kubectl([
      ...['-n', meshNamespace, 'get', 'service', 'weft-http', ...target],
    ]);
    const plan = { neighbour: victim, proxy, port: Number(port), host: ledgerHost };
    const command = ['node', '/programs/spoof.mjs', JSON.stringify(plan)];
    const said = await kubectl(['-n', 'yard', 'exec', 'spoofer', '--', ...command]);
    console.log(said);
    type Spoofed = { readonly isOpen: boolean; readonly why: string; readonly answer: string };
    // Written by programs/spoof.ts.
    const { isOpen, why, answer } = JSON.parse(said) as Spoofed;
    expect({ isOpen, why }).toEqual({ isOpen: true, why: '' });
    expect(answer).toMatch(/^HTTP\/1\.1 403 /);
    expect(answer).toContain('SourceUnknown');
    expect(await metricSum('weft_sources_disputed', {})).toBeGreaterThan(before);
    await kubectl(['-n', 'desk', 'delete', 'pod', 'victim', '--grace-period=1']);
  });
});
