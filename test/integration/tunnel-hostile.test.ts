// Port 15008 facing whatever comes: addresses that are nobody's, certificates that are not ours,
// clients that are slow, many or silent. Nothing is served before the greeting, and everything that
// was not let in ends by itself.
import { generateKeyPairSync } from 'node:crypto';
import net from 'node:net';
import type { TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Credential } from '../../src/identity/index.ts';
import {
  craft,
  dns,
  extensions,
  commonName,
  goodParts,
  isCa,
  paired,
  pem,
  uri,
  utcTime,
} from '../support/crafted-certificates.ts';
import type { Crafted, Issuer } from '../support/crafted-certificates.ts';
import { eventually, okAnswer, RawUpstream, request } from '../support/dataplane-sockets.ts';
import { dialTunnel, tryTunnel } from '../support/tunnel-client.ts';
import {
  connectFrom,
  nodeAddress,
  proxyId,
  serverPod,
  spiffe,
  TestAuthority,
  TunnelMesh,
} from '../support/tunnel-mesh.ts';

let pod: RawUpstream;
let mesh: TunnelMesh;
const open: TLSSocket[] = [];

beforeEach(async () => {
  pod = await RawUpstream.start(serverPod.address);
  pod.answer = (peer) => peer.send(okAnswer('hello'));
  mesh = await TunnelMesh.start({ endpoints: [{ ...pod.endpoint, node: 'node-b' }] });
});

afterEach(async () => {
  for (const socket of open.splice(0)) socket.destroy();
  for (const peer of mesh.peers) peer.socket.destroy();
  mesh.a.dataplane.close();
  const { dataplane, bugs } = mesh.b;
  await eventually(() => dataplane.state().connections === 0, 'all connections ended');
  await eventually(() => dataplane.state().tunnels?.unauthenticated === 0, 'no place is taken');
  expect(bugs).toEqual([]);
  mesh.close();
  pod.close();
});

/** A root of the test's own writing, and leaves with any fault under it. */
function crafting(): { rootPem: string; leaf: (faults: Partial<Crafted>) => Shown } {
  const root: Issuer = { name: commonName('crafted'), key: ecPair() };
  const nowMs = Date.now();
  const rootParts: Partial<Crafted> = {
    subject: root.name,
    basic: extensions.basic(isCa),
    keyUsage: extensions.keyUsage([1, 0x06]),
    extendedKeyUsage: Buffer.alloc(0),
    names: Buffer.alloc(0),
  };
  const rootPem = pem(craft({ ...goodParts(root, root.key, nowMs), ...rootParts }));
  const leaf = (faults: Partial<Crafted>): Shown => {
    const key = ecPair();
    const names = namesOf('spiffe://test.local/ns/t/sa/client');
    const der = craft({ ...goodParts(root, key, nowMs), names, ...faults });
    const keyPem = key.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    return { certificatePem: pem(der), keyPem };
  };
  return { rootPem, leaf };
}

type Shown = Pick<Credential, 'certificatePem' | 'keyPem'>;

function ecPair(): Issuer['key'] {
  return paired(generateKeyPairSync('ec', { namedCurve: 'P-256' }));
}

function namesOf(...uris: readonly string[]): Buffer {
  return extensions.names([...uris.map(uri), dns('node-a.node.weft.dev')]);
}

describe('a certificate', () => {
  const crafted = crafting();

  beforeEach(() => {
    mesh.b.dataplane.identify({
      trustPem: mesh.authority.rootPem + crafted.rootPem,
      own: mesh.authority.credential(proxyId, 'node-b'),
      set: [],
      removed: [],
    });
  });

  const trial = (shown: Shown | undefined, localAddress?: string) =>
    tryTunnel({
      port: mesh.tunnelPort,
      trustPem: mesh.authority.rootPem,
      ...(shown === undefined ? {} : { credential: shown }),
      ...(localAddress === undefined ? {} : { localAddress }),
    });

  test('of ours is greeted, and so is a good one of the second root', async () => {
    const good = await trial(mesh.authority.credential(spiffe('t/client'), 'node-a'));
    expect(good.text).toBe('ok test-node-b\r\n');
    expect((await trial(crafted.leaf({}))).text).toBe('ok test-node-b\r\n');
    expect(mesh.b.results('server')).toEqual(['ok', 'ok']);
  });

  test.each<[string, () => Shown, string]>([
    [
      'of another node',
      () => mesh.authority.credential(spiffe('t/client'), 'node-c'),
      'NodeMismatch',
    ],
    [
      'of the node that is asked',
      () => mesh.authority.credential(spiffe('t/client'), 'node-b'),
      'NodeMismatch',
    ],
    [
      'with two names of ours',
      () => crafted.leaf({
        names: namesOf(spiffe('t/client'), spiffe('t/admin')),
      }),
      'SpiffeIdCount',
    ],
    ['with none', () => crafted.leaf({ names: namesOf() }), 'SpiffeIdCount'],
    [
      'of another trust domain',
      () => crafted.leaf({ names: namesOf('spiffe://other.local/ns/t/sa/client') }),
      'TrustDomainForeign',
    ],
    [
      'of an authority',
      () => crafted.leaf({
        basic: extensions.basic(isCa),
        keyUsage: extensions.keyUsage([1, 0x86]),
      }),
      'IsAuthority',
    ],
  ])('%s is told no, and nothing else', async (_, shown, reason) => {
    const outcome = await trial(shown());
    expect(outcome.text).toBe(`no ${reason} test-node-b\r\n`);
    expect(mesh.b.results('server')).toEqual([reason]);
  });

  test.each<[string, () => Shown | undefined]>([
    ['that is missing', () => undefined],
    ['of a foreign root', () => new TestAuthority().credential(spiffe('t/client'), 'node-a')],
    [
      'that has expired',
      () => crafted.leaf({ notAfter: utcTime(Date.now() - 60_000) }),
    ],
    [
      'that is not valid yet',
      () => crafted.leaf({ notBefore: utcTime(Date.now() + 60_000) }),
    ],
    [
      'of a server alone',
      () => crafted.leaf({ extendedKeyUsage: extensions.extendedKeyUsage(['1.3.6.1.5.5.7.3.1']) }),
    ],
  ])('%s does not get through the handshake', async (_, shown) => {
    const outcome = await trial(shown());
    expect(outcome.text).toBe('');
    expect(mesh.b.results('server')).toEqual(['HandshakeFailed']);
  });

  test('of ours is worth nothing from an address that is no proxy’s', async () => {
    const stolen = mesh.authority.credential(spiffe('t/client'), 'node-a');
    const outcome = await trial(stolen, '127.0.1.1');
    expect(outcome).toMatchObject({ text: '', isSecured: false });
    expect(mesh.b.results('server')).toEqual(['PeerUnknown']);
  });
});

describe('TLS', () => {
  const good = () => mesh.authority.credential(spiffe('t/client'), 'node-a');
  const trial = (options: NonNullable<Parameters<typeof dialTunnel>[0]['options']>) =>
    tryTunnel({
      port: mesh.tunnelPort,
      trustPem: mesh.authority.rootPem,
      credential: good(),
      options,
    });

  test('of version 1.2 is refused', async () => {
    const outcome = await trial({ minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' });
    expect(outcome.isSecured).toBe(false);
    expect(mesh.b.results('server')).toEqual(['HandshakeFailed']);
  });

  test.each(['h2', 'http/1.1', 'weft-h1/9'])('with protocol %s is refused', async (id) => {
    const outcome = await trial({ ALPNProtocols: [id] });
    expect(outcome).toMatchObject({ isSecured: false, text: '' });
    expect(mesh.b.results('server')).toEqual(['HandshakeFailed']);
  });

  test('without a protocol is told no', async () => {
    const { ALPNProtocols: _, ...rest } = { ALPNProtocols: undefined };
    const outcome = await tryTunnel({
      port: mesh.tunnelPort,
      trustPem: mesh.authority.rootPem,
      credential: good(),
      options: { ...rest, ALPNProtocols: [] },
    });
    expect(outcome.text).toBe('no ProtocolRefused test-node-b\r\n');
    expect(mesh.b.results('server')).toEqual(['ProtocolRefused']);
  });

  test('hands out no ticket, and a session that is offered again is not resumed', async () => {
    const sessions: Buffer[] = [];
    const first = dialTunnel({
      port: mesh.tunnelPort,
      trustPem: mesh.authority.rootPem,
      credential: good(),
    });
    open.push(first);
    first.on('session', (session: Buffer) => sessions.push(session));
    await new Promise((resolve) => first.once('data', resolve));
    // All the client has by then is what its side made up itself.
    const session = first.getSession();
    expect(sessions).toEqual([]);
    expect(session).toBeDefined();
    if (session === undefined) return;
    const again = dialTunnel({
      port: mesh.tunnelPort,
      trustPem: mesh.authority.rootPem,
      credential: good(),
      options: { session },
    });
    open.push(again);
    await new Promise((resolve) => again.once('data', resolve));
    expect(again.isSessionReused()).toBe(false);
    expect(mesh.b.results('server')).toEqual(['ok', 'ok']);
  });
});

describe('an address that is no proxy’s', () => {
  test('gets no byte and is closed, whatever it sends', async () => {
    const peer = await connectFrom('127.0.0.9', nodeAddress['node-b'], mesh.tunnelPort);
    peer.send('\x16\x03\x01');
    await peer.closed();
    expect(peer.text).toBe('');
    expect(mesh.b.results('server')).toEqual(['PeerUnknown']);
    expect(mesh.b.dataplane.state().tunnels).toMatchObject({ accepted: 0, unauthenticated: 0 });
  });
});

describe('a peer that', () => {
  const raw = () => connectFrom(nodeAddress['node-a'], nodeAddress['node-b'], mesh.tunnelPort);

  test.each<[string, string]>([
    ['says nothing', ''],
    ['says one byte', '\x16'],
    ['begins a record', '\x16\x03\x01\x02\x00'],
    ['begins a hello', '\x16\x03\x01\x00\xf0\x01\x00\x00\xec\x03\x03'],
  ])('%s and waits is cut after five seconds', async (_, bytes) => {
    const peer = await raw();
    if (bytes !== '') peer.send(bytes);
    const beganMs = performance.now();
    await peer.closed();
    // It was the deadline and nothing else.
    expect(performance.now() - beganMs).toBeGreaterThan(4_000);
    expect(mesh.b.results('server')).toEqual(['Timeout']);
  });

  test.each(['GET / HTTP/1.1\r\n\r\n', '\x00'.repeat(100), '\xff'.repeat(20_000)])(
    'does not speak TLS is cut at once',
    async (bytes) => {
      const peer = await raw();
      peer.send(bytes);
      await peer.closed();
      await eventually(() => mesh.b.results('server').length === 1, 'it is counted');
      expect(mesh.b.results('server')).toEqual(['HandshakeFailed']);
      expect(peer.text).not.toContain('HTTP');
    },
  );

  test('resets in the middle is counted once', async () => {
    const peer = await raw();
    peer.send('\x16\x03\x01\x02\x00');
    await eventually(() => mesh.b.dataplane.state().tunnels?.unauthenticated === 1, 'accepted');
    peer.reset();
    await eventually(() => mesh.b.results('server').length === 1, 'it is counted');
    expect(mesh.b.results('server')).toEqual(['HandshakeFailed']);
  });

  test('is greeted and then says nothing ends when it has been silent for long', async () => {
    mesh.close();
    mesh = await TunnelMesh.start(
      { endpoints: [{ ...pod.endpoint, node: 'node-b' }] },
      { silenceMs: 200 },
    );
    const credential = mesh.authority.credential(spiffe('t/client'), 'node-a');
    const trustPem = mesh.authority.rootPem;
    const socket = dialTunnel({ port: mesh.tunnelPort, trustPem, credential });
    open.push(socket);
    const ended = new Promise((resolve) => socket.once('end', resolve));
    socket.resume();
    await ended;
    socket.end();
  });

  test('dials 1 000 times at once is held to its places, and others are served', async () => {
    const sockets: net.Socket[] = [];
    let resets = 0;
    for (let index = 0; index < 1_000; index += 1) {
      const socket = net.connect({
        host: nodeAddress['node-b'],
        port: mesh.tunnelPort,
        localAddress: nodeAddress['node-a'],
      });
      socket.on('error', () => (resets += 1));
      sockets.push(socket);
    }
    await eventually(() => resets >= 700, 'most are reset');
    expect(mesh.b.dataplane.state().tunnels?.unauthenticated).toBeLessThanOrEqual(256);
    for (const socket of sockets) socket.destroy();
    await eventually(() => mesh.b.dataplane.state().tunnels?.unauthenticated === 0, 'all gone');
    const client = await mesh.client();
    await client.send(request('GET /')).see('hello');
  });
});

describe('a request in a tunnel', () => {
  const service = 'weft-tunnel-service: t/h1:80';
  const podLine = () => `weft-tunnel-pod: ${pod.endpoint.address}:${pod.endpoint.port}`;

  async function ask(...lines: readonly string[]): Promise<string> {
    const credential = mesh.authority.credential(spiffe('t/client'), 'node-a');
    const trustPem = mesh.authority.rootPem;
    const socket = dialTunnel({ port: mesh.tunnelPort, trustPem, credential });
    open.push(socket);
    let text = '';
    await new Promise<void>((resolve) => {
      socket.on('data', (data: Buffer) => {
        const isGreeting = text === '';
        text += data.toString('latin1');
        if (isGreeting) socket.write(request('GET /', ...lines), 'latin1');
        else resolve();
      });
      socket.on('close', resolve);
    });
    return text.slice(text.indexOf('\r\n') + 2);
  }

  test('that names its pod is answered', async () => {
    expect(await ask(service, podLine())).toContain('hello');
  });

  test('is its certificate’s, and nobody’s where its proxy says so', async () => {
    await mesh.publish({ endpoints: [{ ...pod.endpoint, node: 'node-b' }], policy: 'enforce' });
    expect(await ask(service, podLine())).toContain('hello');
    const lowered = await ask(service, podLine(), 'weft-tunnel-source: unauthenticated');
    expect(lowered).toContain('weft-tunnel-reason: SourceUnknown');
    const raised = await ask(service, podLine(), 'weft-tunnel-source: t/client');
    expect(raised).toContain('weft-tunnel-reason: BadRequestSyntax');
  });

  test.each<[string, () => readonly string[]]>([
    ['no pod', () => [service]],
    ['two pods', () => [service, podLine(), podLine()]],
    ['a pod that does not parse', () => [service, 'weft-tunnel-pod: localhost:80']],
  ])('that names %s is no request, and the connection ends', async (_, lines) => {
    const answer = await ask(...lines());
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).toContain('connection: close');
    expect(answer).toContain('weft-tunnel-reason: BadRequestSyntax');
    expect(pod.connections).toHaveLength(0);
  });

  test.each<[string, () => readonly string[]]>([
    ['the proxy itself', () => [service, `weft-tunnel-pod: 127.0.0.3:${mesh.tunnelPort}`]],
    ['loopback', () => [service, `weft-tunnel-pod: 127.0.0.1:${pod.endpoint.port}`]],
    ['another Service', () => ['weft-tunnel-service: t/h2:80', podLine()]],
    ['another namespace', () => ['weft-tunnel-service: u/h1:80', podLine()]],
    ['another port', () => ['weft-tunnel-service: t/h1:81', podLine()]],
  ])('for %s is PodNotHere, and unsent', async (_, lines) => {
    const answer = await ask(...lines());
    expect(answer).toMatch(/^HTTP\/1\.1 503 /);
    expect(answer).toContain('weft-tunnel-reason: PodNotHere');
    expect(answer).toContain('weft-tunnel-unsent: 1');
    expect(pod.connections).toHaveLength(0);
  });
});

