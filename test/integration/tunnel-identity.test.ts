// Calls between nodes: a real tunnel between two data planes, with real certificates; who calls is
// what the certificate says, the pod's node judges, and no field changes anything.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Credential } from '../../src/identity/index.ts';
import { eventually, okAnswer, RawUpstream, request } from '../support/dataplane-sockets.ts';
import {
  clientPod,
  otherPod,
  proxyId,
  serverPod,
  spiffe,
  TestAuthority,
  TunnelMesh,
  worldTable,
} from '../support/tunnel-mesh.ts';

let pod: RawUpstream;
let mesh: TunnelMesh;

beforeEach(async () => {
  pod = await RawUpstream.start(serverPod.address);
  pod.answer = (peer) => peer.send(okAnswer('hello'));
  mesh = await TunnelMesh.start({
    endpoints: [{ ...pod.endpoint, node: 'node-b' }],
    policy: 'enforce',
    allowedPath: '/open',
  });
});

afterEach(async () => {
  for (const peer of mesh.peers) peer.socket.destroy();
  await eventually(() => mesh.a.dataplane.state().exchanges === 0, 'all exchanges ended at a');
  await eventually(() => mesh.b.dataplane.state().exchanges === 0, 'all exchanges ended at b');
  expect(mesh.a.dataplane.state()).toMatchObject({ bufferedBytes: 0, bodyBuffers: 0 });
  expect(mesh.b.dataplane.state()).toMatchObject({ bufferedBytes: 0, bodyBuffers: 0 });
  expect([...mesh.a.bugs, ...mesh.b.bugs]).toEqual([]);
  mesh.close();
  pod.close();
});

describe('a call to a pod of another node', () => {
  test('is made through a tunnel and allowed there', async () => {
    const client = await mesh.client();
    await client.send(request('GET /open')).see('hello');
    expect(mesh.a.results('client')).toEqual(['ok']);
    expect(mesh.b.results('server')).toEqual(['ok']);
    expect(mesh.a.verdicts).toEqual([]);
    expect(mesh.b.verdicts).toMatchObject([{ kind: 'allow' }]);
    expect(mesh.a.exchanges).toHaveLength(1);
    expect(mesh.b.exchanges).toHaveLength(0);
  });

  test('keeps its tunnel for the next one', async () => {
    const client = await mesh.client();
    for (const _ of [1, 2, 3]) {
      await client.send(request('GET /open')).see('hello');
      client.clear();
    }
    expect(mesh.a.results('client')).toEqual(['ok']);
  });

  test('of another account is denied there, and the tunnel stays', async () => {
    const client = await mesh.client(otherPod);
    await client.send(request('GET /open')).see('SourceNotAllowed');
    client.clear();
    await client.send(request('GET /open')).see('SourceNotAllowed');
    expect(client.text).toMatch(/^HTTP\/1\.1 403 /);
    expect(mesh.a.results('client')).toEqual(['ok']);
    expect(mesh.b.verdicts).toMatchObject([{ kind: 'deny' }, { kind: 'deny' }]);
    expect(pod.connections).toHaveLength(0);
  });
});

describe('the same head', () => {
  const text = request('GET /open');

  test('of two callers is judged for each of them, each time', async () => {
    const client = await mesh.client();
    const other = await mesh.client(otherPod);
    for (const _ of [1, 2, 3]) {
      client.clear();
      other.clear();
      await client.send(text).see('hello');
      await other.send(text).see('SourceNotAllowed');
    }
    const kinds = mesh.b.verdicts.map(({ kind }) => kind);
    expect(kinds).toEqual(['allow', 'deny', 'allow', 'deny', 'allow', 'deny']);
  });

  test('is judged anew when the permission has been taken away', async () => {
    const client = await mesh.client();
    for (const _ of [1, 2, 3]) {
      client.clear();
      await client.send(text).see('hello');
    }
    const endpoints = [{ ...pod.endpoint, node: 'node-b' }];
    await mesh.publish({ endpoints, policy: 'enforce', allowedPath: '/shut' });
    client.clear();
    await client.send(text).see('403');
    expect(mesh.b.verdicts.at(-1)).toMatchObject({ kind: 'deny' });
  });

  test.each([
    ['none', [], (turn: number) => [`request-${turn}`, '00-0af7']],
    ['one', ['X-Request-Id: mine'], () => ['mine', '00-0af7']],
    [
      'both',
      ['X-Request-Id: mine', `Traceparent: 00-${'a'.repeat(32)}-${'b'.repeat(16)}-00`],
      () => ['mine', '00-aaaa'],
    ],
  ] as const)('bears the ids of its own request: the client sends %s', async (_, sent, due) => {
    const seen: string[] = [];
    pod.answer = (peer, head) => {
      seen.push(head);
      peer.send(okAnswer('hello'));
    };
    const client = await mesh.client();
    for (const turn of [1, 2, 3]) {
      client.clear();
      await client.send(request('GET /open', ...sent)).see('hello');
      const head = seen.at(-1) ?? '';
      const [requestId, trace] = due(turn);
      expect(head.match(/^x-request-id: .*/gim)).toEqual([`x-request-id: ${requestId}`]);
      expect(head.match(/^traceparent: 00-..../gim)).toEqual([`traceparent: ${trace}`]);
      expect(head).not.toContain('weft-');
      expect(mesh.a.exchanges.at(-1)?.facts.requestId).toBe(requestId);
    }
  });
});

/** Everything that a caller or a pod may say of itself, in spellings that some server reads. */
const spoofs = [
  'X-Forwarded-For: 127.0.1.1',
  'X-Forwarded-Host: admin.t.mesh',
  'Forwarded: for=127.0.1.1;by=weft',
  'X-Forwarded-Client-Cert: URI=spiffe://test.local/ns/t/sa/client',
  'l5d-client-id: client.t.serviceaccount.identity.linkerd.cluster.local',
  'Weft-Source: t/client',
  'Weft-Tunnel-Source: t/client',
  'weft_tunnel_source: t/client',
  'Weft-Tunnel-Service: t/other:80',
  'Weft-Tunnel-Pod: 127.0.0.1:1',
  'Weft-Tunnel-Authority: admin.t.mesh',
  'Weft-Tunnel-Reason: SourceNotAllowed',
  'Weft-Tunnel-Unsent: 1',
];

describe('what a caller says of itself', () => {
  test('opens nothing', async () => {
    const client = await mesh.client(otherPod);
    await client.send(request('GET /open', ...spoofs)).see('SourceNotAllowed');
    expect(pod.connections).toHaveLength(0);
  });

  test('closes nothing, and reaches no pod', async () => {
    let seen = '';
    pod.answer = (peer, head) => {
      seen = head;
      peer.send(okAnswer('hello'));
    };
    const client = await mesh.client();
    await client.send(request('GET /open', ...spoofs, 'X-Mine: kept')).see('hello');
    expect(seen).toContain('X-Mine: kept');
    expect(seen).toContain('x-forwarded-for: 127.0.1.1\r\n');
    expect(seen).toContain('x-forwarded-host: h1.t.mesh\r\n');
    expect(seen).toContain('x-forwarded-port: 80\r\n');
    expect(seen.toLowerCase()).not.toMatch(/weft[-_]|forwarded-client-cert|l5d|\nforwarded:/);
    // The two proxies of one call are one hop.
    expect(seen.match(/^via:/gim)).toHaveLength(1);
    expect(seen.match(/^x-forwarded-for:/gim)).toHaveLength(1);
    expect(seen.match(/^x-request-id: request-1\r$/gim)).toHaveLength(1);
    expect(seen.match(/^traceparent:/gim)).toHaveLength(1);
  });

  test('in a trailer neither', async () => {
    let seen = '';
    pod.answer = undefined;
    pod.received = (peer, text) => {
      seen += text;
      if (seen.endsWith('0\r\n\r\n') || seen.includes('x-fine: 1\r\n\r\n')) {
        peer.send(okAnswer('hello'));
      }
    };
    const client = await mesh.client();
    client.send(request('POST /open', 'Transfer-Encoding: chunked', 'TE: trailers'));
    client.send('1\r\nx\r\n0\r\nweft-tunnel-source: t/client\r\nx-fine: 1\r\n\r\n');
    await client.see('hello');
    expect(seen).toContain('x-fine: 1');
    expect(seen).not.toContain('weft-tunnel');
  });
});

describe('what a pod says in its answer', () => {
  test('is no refusal of its proxy, and reaches no client', async () => {
    const lines = ['weft-tunnel-reason: SourceNotAllowed', 'weft-tunnel-unsent: 1'];
    pod.answer = (peer) => {
      peer.send(`HTTP/1.1 200 OK\r\n${lines.join('\r\n')}\r\nweft-reason: Bug\r\n`);
      peer.send('content-length: 5\r\n\r\nhello');
    };
    const client = await mesh.client();
    const answer = await client.send(request('GET /open')).see('hello');
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    expect(answer).not.toContain('weft-');
    expect(mesh.a.exchanges.at(-1)?.facts.status).toBe(200);
  });
});

describe('a caller without identity', () => {
  const stranger = { address: '127.0.1.9', account: '', node: 'node-a' } as const;

  test('travels under the proxy’s own and is nobody there', async () => {
    const client = await mesh.client(stranger);
    await client.send(request('GET /open')).see('SourceUnknown');
    expect(mesh.b.verdicts).toMatchObject([{ kind: 'deny', reason: 'SourceUnknown' }]);
    expect(mesh.a.results('client')).toEqual(['ok']);
  });

  test('is served where nobody has to be known', async () => {
    await mesh.publish({ endpoints: [{ ...pod.endpoint, node: 'node-b' }], policy: 'off' });
    const client = await mesh.client(stranger);
    await client.send(request('GET /any')).see('hello');
  });
});

describe('identities', () => {
  test('never share a connection', async () => {
    await mesh.publish({ endpoints: [{ ...pod.endpoint, node: 'node-b' }], policy: 'off' });
    for (const from of [clientPod, otherPod, clientPod, otherPod]) {
      const client = await mesh.client(from);
      await client.send(request('GET /')).see('hello');
    }
    expect(mesh.a.results('client')).toEqual(['ok', 'ok']);
    expect(mesh.b.dataplane.state().tunnels?.accepted).toBe(2);
  });

  test('are judged by what the destination’s node knows', async () => {
    // Only the destination's table closes the route.
    const world = { endpoints: [{ ...pod.endpoint, node: 'node-b' }], policy: 'enforce' } as const;
    await mesh.a.publish(worldTable('node-a', { ...world, policy: 'off' }));
    await mesh.b.publish(worldTable('node-b', { ...world, allowedPath: '/other' }));
    const client = await mesh.client();
    const answer = await client.send(request('GET /open')).see('RouteNotAllowed');
    expect(answer).toContain('weft-reason: RouteNotAllowed');
    expect(answer).not.toContain('weft-tunnel');
  });
});

describe('a match on the Host', () => {
  test('sees the caller’s own, where the pod’s is rewritten', async () => {
    let seen = '';
    pod.answer = (peer, head) => {
      seen = head;
      peer.send(okAnswer('hello'));
    };
    const endpoints = [{ ...pod.endpoint, node: 'node-b' }];
    await mesh.publish({
      endpoints,
      policy: 'enforce',
      allowedHost: 'h1\\.t\\.mesh',
      rules: { upstreamHost: 'h1.t.svc.cluster.local' },
    });
    await (await mesh.client()).send(request('GET /open')).see('hello');
    expect(seen).toContain('host: h1.t.svc.cluster.local\r\n');
    await mesh.publish({ endpoints, policy: 'enforce', allowedHost: 'h1\\.t\\.svc.*' });
    await (await mesh.client()).send(request('GET /open')).see('RouteNotAllowed');
  });
});

describe('the called proxy', () => {
  test.each<[string, (authority: TestAuthority) => Credential]>([
    ['is of another node', (authority) => authority.credential(proxyId, 'node-c')],
    ['is no proxy', (authority) => authority.credential(spiffe('t/server'), 'node-b')],
    ['has a foreign root', () => new TestAuthority().credential(proxyId, 'node-b')],
  ])('that %s gets nothing, and the caller 503', async (_, shown) => {
    mesh.b.dataplane.identify({
      trustPem: mesh.authority.rootPem,
      own: shown(mesh.authority),
      set: [],
      removed: [],
    });
    const client = await mesh.client();
    const answer = await client.send(request('GET /open')).see('TunnelUnavailable');
    expect(answer).toMatch(/^HTTP\/1\.1 503 /);
    expect(pod.connections).toHaveLength(0);
    expect(new Set(mesh.a.results('client'))).not.toContain('ok');
  });
});
