// Mesh DNS on real loopback sockets, with a clock that the test moves: messages in pieces and in
// bunches, limits, sockets that open late. What is answered is the business of `dns`.
import { createSocket } from 'node:dgram';
import { connect, Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { FakeRuntime, settle } from '../../test/kube/support/fake-runtime.ts';
import { until } from '../../test/kube/support/until.ts';
import { dnsQuery, readReply } from '../../test/support/dns-message.ts';
import { nodeNetwork } from '../dataplane/index.ts';
import type { MeshZone } from '../dns/index.ts';
import type { ListenEvents, Network, NetworkListener } from '../lib/network.ts';
import { openDatagrams } from '../main/node-datagrams.ts';
import { connectionsMax, idleTimeoutMs, queriesPerConnectionMax } from './dns-connection.ts';
import {
  startDnsServer,
  type DatagramEvents,
  type DnsListenFailure,
  type DnsServer,
  type DnsServerOptions,
} from './dns-server.ts';

/** Nobody else's, so that a port that is free for UDP is free for TCP too. */
const address = '127.53.0.1';
const name = 'web.shop.mesh';
const zone: MeshZone = {
  apexes: ['mesh'],
  services: new Map([[name, { ipv4: [Uint8Array.from([10, 9, 8, 7])], ipv6: [] }]]),
  inner: new Set(['mesh', 'shop.mesh']),
};

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

function started(given: Partial<DnsServerOptions> = {}) {
  const fake = new FakeRuntime();
  const failures: DnsListenFailure[] = [];
  const server = startDnsServer({
    addresses: [address],
    port: 0,
    network: nodeNetwork(),
    openDatagrams: () => ({ send: () => undefined, close: () => undefined }),
    runtime: fake.runtime,
    zone: () => zone,
    onFailed: (failure) => failures.push(failure),
    ...given,
  });
  cleanups.push(() => server.close());
  return { fake, server, failures };
}

/** A server on TCP and the port that it got. */
async function overTcp() {
  const network = nodeNetwork();
  let listener: NetworkListener | undefined;
  const parts = started({
    network: {
      ...network,
      listen: (options, events) => (listener = network.listen(options, events)),
    },
  });
  await until('it listens', () => parts.server.listening().open === 1);
  return { ...parts, port: listener?.port() ?? 0 };
}

class TcpClient {
  readonly #socket: Socket;
  #received = Buffer.alloc(0);
  isClosed = false;

  constructor(port: number) {
    this.#socket = connect({ host: address, port, noDelay: true });
    this.#socket.on('error', () => undefined);
    this.#socket.on('close', () => {
      this.isClosed = true;
    });
    this.#socket.on('data', (data) => {
      this.#received = Buffer.concat([this.#received, data]);
    });
    cleanups.push(() => this.#socket.destroy());
  }

  send(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  end(): void {
    this.#socket.end();
  }

  /** Ids of the answers so far, in the order in which they came. */
  get ids(): readonly number[] {
    const ids: number[] = [];
    for (let rest = this.#received; rest.length >= 2; ) {
      const end = 2 + rest.readUInt16BE(0);
      if (rest.length < end) break;
      ids.push(rest.readUInt16BE(2));
      rest = rest.subarray(end);
    }
    return ids;
  }

  async answers(count: number): Promise<readonly number[]> {
    await until(`${count} answers`, () => this.ids.length >= count, 5_000);
    return this.ids;
  }

  closed(): Promise<void> {
    return until('the connection is closed', () => this.isClosed, 5_000);
  }
}

function framed(id: number): Uint8Array {
  const query = dnsQuery({ name, id });
  return Buffer.concat([Buffer.from([query.length >> 8, query.length & 255]), query]);
}

async function freeUdpPort(): Promise<number> {
  const probe = createSocket('udp4');
  await new Promise<void>((resolve) => probe.bind(0, address, resolve));
  const { port } = probe.address();
  await new Promise<void>((resolve) => probe.close(resolve));
  return port;
}

describe('UDP', () => {
  test('a question is answered to where it came from', async () => {
    const port = await freeUdpPort();
    const { server } = started({ port, openDatagrams });
    await until('both sockets are open', () => server.listening().open === 2);
    const client = createSocket('udp4');
    cleanups.push(() => client.close());
    const answered = new Promise<Buffer>((resolve) => client.once('message', resolve));
    client.send(dnsQuery({ name, id: 7 }), port, address);
    const reply = readReply(await answered);
    expect(reply).toMatchObject({ id: 7, code: 'NOERROR' });
    expect(reply.answers.map(({ data }) => [...data])).toEqual([[10, 9, 8, 7]]);
  });

  test('a message from port 0 or that is no question is left alone', () => {
    const sent: number[] = [];
    const told = new Map<string, DatagramEvents>();
    started({
      openDatagrams: (on, _port, events) => {
        told.set(on, events);
        return { send: (_data, port) => sent.push(port), close: () => undefined };
      },
    });
    const events = told.get(address);
    events?.onMessage(dnsQuery({ name }), 0, '10.0.0.1');
    events?.onMessage(Uint8Array.from([1, 2, 3]), 53, '10.0.0.1');
    // Another server's answer: two servers must not answer each other for ever.
    events?.onMessage(dnsQuery({ name, flags: 0x8180 }), 53, '10.0.0.1');
    expect(sent).toEqual([]);
    events?.onMessage(dnsQuery({ name }), 4_711, '10.0.0.1');
    expect(sent).toEqual([4_711]);
  });

  test('the zone is that of the moment of the question', () => {
    let now: MeshZone = { ...zone, services: new Map() };
    const codes: string[] = [];
    let events: DatagramEvents | undefined;
    started({
      zone: () => now,
      openDatagrams: (_on, _port, given) => {
        events = given;
        return { send: (data) => codes.push(readReply(data).code), close: () => undefined };
      },
    });
    events?.onMessage(dnsQuery({ name }), 1, address);
    now = zone;
    events?.onMessage(dnsQuery({ name }), 1, address);
    expect(codes).toEqual(['NXDOMAIN', 'NOERROR']);
  });
});

describe('TCP', () => {
  test('a message may come byte by byte', async () => {
    const { port } = await overTcp();
    const client = new TcpClient(port);
    for (const byte of framed(9)) {
      client.send(Uint8Array.from([byte]));
      await settle();
    }
    expect(await client.answers(1)).toEqual([9]);
  });

  test('several in one piece are answered in their order', async () => {
    const { port } = await overTcp();
    const client = new TcpClient(port);
    const ids = Array.from({ length: 50 }, (_, index) => index + 1);
    const all = Buffer.concat(ids.map(framed));
    // The cut is in the middle of a length.
    const cut = framed(1).length * 20 + 1;
    client.send(all.subarray(0, cut));
    await client.answers(20);
    client.send(all.subarray(cut));
    expect(await client.answers(50)).toEqual(ids);
  });

  test('a client that has said everything gets its answers and an end', async () => {
    const { port } = await overTcp();
    const client = new TcpClient(port);
    client.send(framed(3));
    client.end();
    await client.closed();
    expect(client.ids).toEqual([3]);
  });

  test('a message that is no question ends the connection', async () => {
    const { port, server, fake } = await overTcp();
    const client = new TcpClient(port);
    client.send(Uint8Array.from([0, 3, 1, 2, 3]));
    await client.closed();
    await until('it is forgotten', () => server.connectionCount() === 0);
    expect(fake.timerCount).toBe(0);
  });

  test('half a message, or none, is waited for so long and no longer', async () => {
    const { fake, port, server } = await overTcp();
    const silent = new TcpClient(port);
    const half = new TcpClient(port);
    half.send(framed(1).subarray(0, 10));
    await until('both are there', () => server.connectionCount() === 2);
    await fake.advance(idleTimeoutMs - 1);
    half.send(framed(1).subarray(10, 12));
    await settle();
    expect(server.connectionCount()).toBe(2);
    await fake.advance(1);
    await Promise.all([silent.closed(), half.closed()]);
    expect(fake.timerCount).toBe(0);
  });

  test('an answer starts the wait anew', async () => {
    const { fake, port, server } = await overTcp();
    const client = new TcpClient(port);
    for (let id = 1; id <= 3; id += 1) {
      client.send(framed(id));
      await client.answers(id);
      await fake.advance(idleTimeoutMs - 1);
    }
    expect(server.connectionCount()).toBe(1);
    await fake.advance(1);
    await client.closed();
  });

  test('after a thousand questions the connection ends, all of them answered', async () => {
    const { port } = await overTcp();
    const client = new TcpClient(port);
    const over = queriesPerConnectionMax + 20;
    client.send(Buffer.concat(Array.from({ length: over }, (_, index) => framed(index + 1))));
    await client.closed();
    expect(client.ids).toHaveLength(queriesPerConnectionMax);
  });

  test('at the limit of connections one that was silent gives way to a new one', async () => {
    const { port, server } = await overTcp();
    const first = new TcpClient(port);
    await until('it is accepted', () => server.connectionCount() === 1);
    const others = Array.from({ length: connectionsMax - 1 }, () => new TcpClient(port));
    await until('all are accepted', () => server.connectionCount() === connectionsMax);
    // The first one is the oldest, but it has just said something.
    first.send(framed(1));
    await first.answers(1);
    const late = new TcpClient(port);
    late.send(framed(2));
    expect(await late.answers(1)).toEqual([2]);
    await until('one is closed', () => others.some(({ isClosed }) => isClosed));
    expect(others.filter(({ isClosed }) => isClosed)).toHaveLength(1);
    expect(first.isClosed).toBe(false);
    expect(server.connectionCount()).toBe(connectionsMax);
  });

  test('a client that does not read its answers is cut off', () => {
    const { listens, network } = scripted();
    const { fake, server } = started({ network });
    const deaf = new DeafSocket();
    listens[0]?.accepted(deaf);
    deaf.say(framed(1));
    expect(deaf.destroyed).toBe(false);
    deaf.unreadBytes = 65_537;
    deaf.say(framed(2));
    expect(deaf.destroyed).toBe(true);
    expect(server.connectionCount()).toBe(0);
    expect(fake.timerCount).toBe(0);
  });
});

/** A network whose listeners are told by the test what became of them. */
function scripted() {
  const listens: ListenEvents[] = [];
  const network: Network = {
    ...nodeNetwork(),
    listen: (_options, events) => {
      listens.push(events);
      return { port: () => undefined, close: () => undefined };
    },
  };
  return { listens, network };
}

/** A socket that is connected to nobody; its peer leaves unread what the test says. */
class DeafSocket extends Socket {
  unreadBytes = 0;

  constructor() {
    super();
    // A property in the types, an accessor of streams in fact.
    Object.defineProperty(this, 'writableLength', { get: () => this.unreadBytes });
  }

  override write(): boolean {
    return true;
  }

  say(data: Uint8Array): void {
    this.emit('data', Buffer.from(data));
  }
}

describe('sockets that do not open', () => {
  const failure = (code: string): Error => Object.assign(new Error(`bind ${code}`), { code });

  test('are tried again until they do, and complained of once', async () => {
    const { listens, network } = scripted();
    const { fake, server, failures } = started({ network });
    for (let attempt = 0; attempt < 3; attempt += 1) {
      listens[attempt]?.failed(failure('EADDRINUSE'));
      expect(server.listening()).toEqual({ open: 0, wanted: 2 });
      await fake.advance(1_000);
    }
    expect(failures).toEqual([{ transport: 'tcp', address, message: 'bind EADDRINUSE' }]);
    listens[3]?.listening();
    expect(server.listening().open).toBe(1);
    expect(fake.timerCount).toBe(0);
  });

  test('are not missed where the machine lacks their family', async () => {
    const { listens, network } = scripted();
    const { fake, server, failures } = started({ network });
    listens[0]?.failed(failure('EAFNOSUPPORT'));
    expect(server.listening()).toEqual({ open: 0, wanted: 1 });
    expect(failures).toEqual([]);
    await fake.advance(10_000);
    expect(listens).toHaveLength(1);
  });

  test('an open one that is out of descriptors for a moment stays open', () => {
    const { listens, network } = scripted();
    const { server, failures, fake } = started({ network });
    listens[0]?.listening();
    listens[0]?.failed(failure('EMFILE'));
    expect(server.listening().open).toBe(1);
    expect(failures).toEqual([]);
    expect(fake.timerCount).toBe(0);
  });

  test('after closing none is tried again', async () => {
    const { listens, network } = scripted();
    const { fake, server } = started({ network });
    listens[0]?.failed(failure('EADDRINUSE'));
    server.close();
    listens[0]?.failed(failure('EADDRINUSE'));
    await fake.advance(10_000);
    expect(listens).toHaveLength(1);
    expect(server.listening().open).toBe(0);
  });

  test('each address has a socket of each kind', () => {
    const { listens, network } = scripted();
    const addresses = ['127.0.0.2', '127.0.0.3'];
    const opened: string[] = [];
    const server: DnsServer = started({
      network,
      addresses,
      openDatagrams: (on, _port, events) => {
        opened.push(on);
        events.onBound();
        return { send: () => undefined, close: () => undefined };
      },
    }).server;
    expect(opened).toEqual(addresses);
    for (const events of listens) events.listening();
    expect(server.listening()).toEqual({ open: 4, wanted: 4 });
  });
});
