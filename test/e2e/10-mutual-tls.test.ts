// Who is calling, proven between nodes: TrafficTargets by service account on the same node and
// across nodes, what headers cannot change, what travels between nodes in each mode, and that
// nobody who drops packets brings plain text about.
import { beforeAll, describe, expect, test } from 'vitest';
import { call, outcome, type Answer, type From } from './support/calls.ts';
import { meshNamespace } from './support/cluster.ts';
import { kubectl } from './support/kubectl.ts';
import { metricSum } from './support/metrics.ts';
import { annotateMtls, switchMesh, type Mode } from './support/mtls.ts';
import { until } from './support/until.ts';
import {
  askLedger,
  createVault,
  deskOn,
  ledgerHost,
  ledgerUrl,
  seenIn,
  twoNodes,
} from './support/vault.ts';
import { weft } from './support/weft.ts';
import { captureOn, whileCut } from './support/wire.ts';

let nodes: Awaited<ReturnType<typeof twoNodes>>;

async function untilServed(mode: string): Promise<void> {
  await until(`the tellers are served: ${mode}`, async () => {
    const answers = [
      await askLedger(deskOn('teller', nodes.far)),
      await askLedger(deskOn('teller', nodes.home)),
    ];
    return answers.every((answer) => outcome(answer) === '200') ? true : undefined;
  });
}

/** Each replica of CoreDNS learns of a mesh in its own time. */
async function untilNamed(from: From): Promise<void> {
  await until(
    `${from.client} finds ${ledgerHost}`,
    async () => {
      const answers = await call(from, [{ url: ledgerUrl, times: 8 }]);
      return answers.every(({ status }) => status !== 0) ? true : undefined;
    },
    90_000,
  );
}

async function expectTold(wanted: 'allowed and denied'): Promise<void> {
  const told: string[] = [];
  for (const node of [nodes.home, nodes.far]) {
    for (const who of ['teller', 'thief'] as const) {
      told.push(`${who} ${outcome(await askLedger(deskOn(who, node)))}`);
    }
  }
  const each = ['teller 200', 'thief 403 SourceNotAllowed'];
  expect(told, wanted).toEqual([...each, ...each]);
}

/** Tries for which no tunnel was due. */
function plainCount(reason: string): Promise<number> {
  return metricSum('weft_plain_requests_total', { reason });
}

beforeAll(async () => {
  nodes = await twoNodes();
  await createVault();
  await switchMesh('permissive');
  for (const node of [nodes.home, nodes.far]) {
    for (const who of ['teller', 'thief'] as const) await untilNamed(deskOn(who, node));
  }
  await untilServed('permissive');
}, 300_000);

describe('mutual TLS', () => {
  test('permissive: a TrafficTarget counts on the same node and across nodes', async () => {
    await expectTold('allowed and denied');
    expect(await metricSum('weft_tunnels_open', { side: 'client' })).toBeGreaterThan(0);
    expect(await plainCount('mtls_off')).toBe(0);
  });

  test('the pod sees one hop and the caller’s address, and nothing of the tunnel', async () => {
    const { headers } = seenIn(await askLedger(deskOn('teller', nodes.far)));
    const pod = ['-n', 'desk', 'get', 'pod', '-l', `app=teller-${nodes.far}`];
    const address = await kubectl([...pod, '-o', 'jsonpath={.items[0].status.podIP}']);
    expect(headers['via']).toBe('1.1 weft');
    expect(headers['host']).toBe(ledgerHost);
    expect(headers['x-forwarded-for']).toBe(address);
    expect(Object.keys(headers).filter((name) => name.startsWith('weft'))).toEqual([]);
  });

  test('headers change nothing: neither for the thief nor for the teller', async () => {
    const pod = ['-n', 'desk', 'get', 'pod', '-l', `app=teller-${nodes.home}`];
    const ip = await kubectl([...pod, '-o', 'jsonpath={.items[0].status.podIP}']);
    const tellers = 'spiffe://cluster.local/ns/desk/sa/teller';
    const lies = {
      'x-forwarded-client-cert': `By=spiffe://cluster.local/ns/vault/sa/ledger;URI=${tellers}`,
      'x-forwarded-for': ip,
      forwarded: `for=${ip};host=${ledgerHost}`,
      'l5d-client-id': 'teller.desk.serviceaccount.identity.linkerd.cluster.local',
      'weft-tunnel-source': tellers,
      'weft-source': tellers,
    };
    const worse = { ...lies, 'weft-tunnel-source': 'unauthenticated' };
    for (const node of [nodes.home, nodes.far]) {
      const refused = await askLedger(deskOn('thief', node), lies);
      expect(outcome(refused), node).toBe('403 SourceNotAllowed');
      const served = await askLedger(deskOn('teller', node), worse);
      expect(outcome(served), node).toBe('200');
      const names = Object.keys(seenIn(served).headers);
      expect(names.filter((name) => name in lies && name !== 'x-forwarded-for')).toEqual([]);
      expect(seenIn(served).headers['x-forwarded-for']).not.toContain(',');
    }
  });

  test('weft identity shows who has a certificate on which node', async () => {
    const { status, stdout } = await weft(['identity']);
    expect(stdout).toContain('spiffe://cluster.local/ns/desk/sa/teller');
    expect(stdout).toContain('spiffe://cluster.local/ns/vault/sa/ledger');
    expect(status).toBe(0);
  });
});

/** In a header, in a body, in the path, and the name that was called. */
const markers = ['marker-in-a-header', 'marker-in-a-body', 'marker-in-a-path', ledgerHost];
/** What a TLS library would show without TLS 1.3, or with SNI. */
const names = ['spiffe://', '.node.weft.dev'];

/** By address, so that no DNS query tells the name. */
async function markedCalls(address: string, times: number): Promise<readonly Answer[]> {
  const [header = '', body = '', path = ''] = markers;
  const headers = { host: ledgerHost, 'x-marker': header };
  const one = { url: `http://${address}/${path}`, method: 'POST', headers, body, times };
  return call(deskOn('teller', nodes.far), [one]);
}

async function markersSeen(times = 4): Promise<readonly string[]> {
  const at = ['-o', 'jsonpath={.spec.clusterIP}'];
  const address = await kubectl(['-n', meshNamespace, 'get', 'service', 'weft-http', ...at]);
  const bytes = await captureOn(nodes.far, async () => {
    const answers = await markedCalls(address, times);
    expect(answers.map(outcome)).toEqual(Array.from({ length: times }, () => '200'));
  });
  // It has seen what travels: the answers of the API server's TLS at the least.
  expect(bytes.length).toBeGreaterThan(2_000);
  return [...markers, ...names].filter((text) => bytes.includes(text));
}

async function switchVault(mode: Mode | undefined): Promise<void> {
  await annotateMtls('vault', mode);
  const before = await plainCount('mtls_off');
  // Each proxy takes the change at its own moment: until a call went the way that it should.
  await until(`calls to vault travel as ${mode}`, async () => {
    const counted = await plainCount('mtls_off');
    await untilServed(mode ?? 'as the mesh');
    const isPlain = (await plainCount('mtls_off')) > Math.max(counted, before);
    return isPlain === (mode === 'off') ? true : undefined;
  });
}

describe('what travels between nodes', () => {
  test('off: everything, which shows that the search finds it', async () => {
    await switchVault('off');
    expect(await markersSeen()).toEqual(markers);
    await expectTold('allowed and denied');
  });

  test('permissive, with a proxy on each node: nothing', async () => {
    await switchVault(undefined);
    expect(await markersSeen()).toEqual([]);
  });

  test('strict: nothing, also over tunnels that are opened meanwhile', async () => {
    await switchVault('strict');
    await whileCut(nodes.far, 'reset', async () => {
      await askLedger(deskOn('teller', nodes.far));
    });
    expect(await markersSeen()).toEqual([]);
    await expectTold('allowed and denied');
  });
});

describe('packets to the tunnel port that do not arrive', () => {
  const patience = 'weft.dev/connect-timeout';
  const plainReasons = ['mtls_off', 'bare_node', 'external'];

  beforeAll(async () => {
    // A node that does not answer at all is tried three times: not for 5 s each.
    await kubectl(['annotate', '--overwrite', 'namespace', 'vault', `${patience}=1s`]);
  });

  test.each(['strict', 'permissive'] as const)('%s: 503, never plain', async (mode) => {
    await switchVault(mode);
    const before = await Promise.all(plainReasons.map(plainCount));
    const far = deskOn('teller', nodes.far);
    for (const cut of ['reset', 'drop'] as const) {
      await whileCut(nodes.far, cut, async () => {
        const startedMs = Date.now();
        // As many as end what tunnels each worker of the proxy still has.
        const times = cut === 'reset' ? 12 : 3;
        const told = (await call(far, [{ url: ledgerUrl, times }])).map(outcome);
        console.log(`${mode}, ${cut}: ${told.join(', ')} within ${Date.now() - startedMs} ms`);
        // On a tunnel that stands still a call waits as on any connection: it is not answered.
        const refused = told.filter((one) => one !== 'no answer for 10 s');
        expect(new Set(refused), cut).toEqual(new Set(['503 TunnelUnavailable']));
        expect(told.at(-1), cut).toBe('503 TunnelUnavailable');
        // Who is on the ledger's own node needs no tunnel.
        expect(outcome(await askLedger(deskOn('teller', nodes.home))), cut).toBe('200');
      });
    }
    expect(await Promise.all(plainReasons.map(plainCount))).toEqual(before);
    await untilServed('the packets arrive again');
  });

  test('the namespace says nothing again', async () => {
    await kubectl(['annotate', 'namespace', 'vault', `${patience}-`]);
    await switchVault(undefined);
    await expectTold('allowed and denied');
  });
});
