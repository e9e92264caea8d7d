// A running data plane whose one service `t/h1` has the annotations of a test, its pods, and its
// clients, in one of three protocols: HTTP/1.1 all the way, HTTP/2 all the way, gRPC over HTTP/2.
// What a client is told is the same type in each, so that one row of a table serves all three.
import http from 'node:http';
import net from 'node:net';
import { expect } from 'vitest';
import { fastestNetwork, nodeNetwork } from '../../src/dataplane/index.ts';
import type { ExchangeObserver } from '../../src/dataplane/index.ts';
import { Breakers } from '../../src/proxy/breakers.ts';
import { HealthChecks } from '../../src/proxy/health-checks.ts';
import { probeHealth } from '../../src/proxy/health-probe.ts';
import type { RouteTable } from '../../src/route/index.ts';
import { HealthCells } from '../../src/telemetry/health-cells.ts';
import { silentLog } from '../../src/telemetry/index.ts';
import { startHarness, testRuntime } from './dataplane-harness.ts';
import type { Harness } from './dataplane-harness.ts';
import { eventually } from './dataplane-sockets.ts';
import { Http2Caller } from './http2-client.ts';
import type { Http2Reply } from './http2-client.ts';
import { serviceObjects, settledMesh } from './settings-mesh.ts';
import type { SettingsMesh } from './settings-mesh.ts';
import { SettingsPod } from './settings-pod.ts';
import type { PodRequest } from './settings-pod.ts';

export type Protocol = 'http/1.1' | 'http/2' | 'grpc';

export const allProtocols: readonly Protocol[] = ['http/1.1', 'http/2', 'grpc'];

/** What a client was told; status 0: nothing. */
export type Told = {
  readonly status: number;
  /** Of a call of gRPC that was told one. */
  readonly grpcStatus: number | undefined;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
  /** It was broken off. */
  readonly isCut: boolean;
};

export type Asked = {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
};

/** One request under way. */
export type Call = {
  readonly reply: Promise<Told>;
  /** The head of its answer has come, or nothing will. */
  readonly begun: Promise<unknown>;
  readonly cancel: () => void;
};

/** What each refusal is in HTTP and in gRPC (contract §4). */
const contractCodes = {
  UnknownService: [404, 12],
  NoEndpoints: [503, 14],
  Stopped: [503, 14],
  UpstreamConnect: [502, 14],
  UpstreamReset: [502, 14],
  TimeoutConnect: [504, 4],
  TimeoutRequest: [504, 4],
  TimeoutIdle: [504, 4],
  RateLimited: [429, 8],
  CircuitOpen: [503, 14],
  Overloaded: [503, 14],
  BadRequestBodyTooLarge: [413, 8],
} as const;

/** Whether it was told exactly this, in the words of its protocol. */
export function isRefused(told: Told, reason: keyof typeof contractCodes): boolean {
  const [status, grpcStatus] = contractCodes[reason];
  if (told.headers['weft-reason'] !== reason) return false;
  if (told.grpcStatus === undefined) return told.status === status;
  return told.status === 200 && told.grpcStatus === grpcStatus;
}

/** A pod has answered, and well. */
export function isWell({ status, grpcStatus = 0 }: Told): boolean {
  return status === 200 && grpcStatus === 0;
}

export type WorldStart = {
  readonly observer?: Partial<ExchangeObserver>;
  /** One address for each pod. */
  readonly addresses?: readonly string[];
};

/** False: connections to pods open. True: whoever connects hears nothing. */
type Swallowing = { isOn: boolean };

export class SettingsWorld {
  readonly protocol: Protocol;
  readonly harness: Harness;
  readonly pods: readonly SettingsPod[];
  /** What the pods were asked, in this order. */
  readonly requests: readonly PodRequest[];
  readonly swallowing: Swallowing;
  readonly #breakers: Breakers;
  readonly #checks: HealthChecks;
  readonly #cancels: (() => void)[] = [];
  #table: RouteTable | undefined;
  #caller: Http2Caller | undefined;

  private constructor(
    protocol: Protocol,
    harness: Harness,
    { pods, requests, swallowing }: Pick<SettingsWorld, 'pods' | 'requests' | 'swallowing'>,
  ) {
    this.protocol = protocol;
    this.harness = harness;
    this.pods = pods;
    this.requests = requests;
    this.swallowing = swallowing;
    // The control thread's part; it looks when a test says so.
    this.#breakers = new Breakers({
      ...testRuntime,
      timers: { after: () => ({ cancel: () => undefined }) },
      log: silentLog,
      cellsOf: (key) => harness.slots.breaker(key),
    });
    this.#checks = startChecks(harness);
  }

  static async start(protocol: Protocol, options: WorldStart = {}): Promise<SettingsWorld> {
    const { addresses = ['127.0.0.2', '127.0.0.3'], observer = {} } = options;
    const requests: PodRequest[] = [];
    const started = addresses.map((address) => SettingsPod.start(address, requests));
    const pods = await Promise.all(started);
    const { network } = await fastestNetwork();
    const swallowing = { isOn: false };
    const harness = await startHarness({
      endpoints: pods.map(({ endpoint }) => endpoint),
      observer,
      network: {
        connect: (to) => (swallowing.isOn ? new net.Socket() : network.connect(to)),
      },
    });
    return new SettingsWorld(protocol, harness, { pods, requests, swallowing });
  }

  /** Puts the annotations in force; the answer is what is wrong with them. */
  settle(mesh: Omit<SettingsMesh, 'endpoints'>): readonly string[] {
    const endpoints = this.pods.map(({ endpoint }) => endpoint);
    const appProtocol = this.protocol === 'http/1.1' ? undefined : 'kubernetes.io/h2c';
    const others = serviceObjects('copy', endpoints, { appProtocol });
    const settled = settledMesh({ endpoints, appProtocol, others, ...mesh }, this.#table);
    const { table } = settled;
    this.#table = table;
    this.#breakers.follow({ version: '', sections: table.sections, runs: new Map() });
    this.#checks.follow(table, table.node);
    this.harness.dataplane.publish(table);
    return settled.problems.map(({ reason }) => reason);
  }

  /** The breakers look at what has been counted. */
  lookAtBreakers(): void {
    this.#breakers.look();
  }

  /** All pods answer so. */
  answers(answer: (request: PodRequest, nth: number) => void): void {
    for (const pod of this.pods) pod.answer = answer;
  }

  /** A request: a GET, or in gRPC a call, unless the test says otherwise. */
  open(asked: Asked = {}): Call {
    const call = this.protocol === 'http/1.1' ? this.#openHttp1(asked) : this.#openHttp2(asked);
    this.#cancels.push(call.cancel);
    return call;
  }

  ask(asked: Asked = {}): Promise<Told> {
    return this.open(asked).reply;
  }

  /** One after the other. */
  async askTimes(count: number, asked: Asked = {}): Promise<readonly Told[]> {
    const all: Told[] = [];
    for (let n = 0; n < count; n += 1) all.push(await this.ask(asked));
    return all;
  }

  /** Closes everything, and expects that nothing is left of it. */
  async end(): Promise<void> {
    const { dataplane, bugs, inFlight } = this.harness;
    this.#breakers.close();
    this.#checks.close();
    for (const cancel of this.#cancels) cancel();
    this.#caller?.session.destroy();
    await eventually(() => dataplane.state().connections === 0, 'all connections closed');
    expect(dataplane.state()).toMatchObject({ exchanges: 0, bufferedBytes: 0 });
    expect(dataplane.state().mirrors).toMatchObject({ copies: 0, bytes: 0 });
    expect(inFlight()).toBe(0);
    expect(bugs).toEqual([]);
    dataplane.close();
    for (const pod of this.pods) pod.close();
  }

  /** Each on a connection of its own. */
  #openHttp1({ method = 'GET', path = '/', headers = {}, body }: Asked): Call {
    const request = http.request({
      host: '127.0.0.1',
      port: this.harness.port,
      method,
      path,
      headers: { host: 'h1.t.mesh', ...headers },
      agent: false,
    });
    request.end(body);
    const reply = new Promise<Told>((done) => {
      const nothing = { status: 0, grpcStatus: undefined, headers: {}, body: '', isCut: true };
      request.on('error', () => done(nothing));
      request.on('response', (response) => {
        let text = '';
        response.setEncoding('latin1');
        response.on('data', (piece: string) => {
          text += piece;
        });
        response.on('error', () => undefined);
        response.on('close', () => {
          const { statusCode: status = 0, headers: got } = response;
          const isCut = !response.complete;
          done({ status, grpcStatus: undefined, headers: got, body: text, isCut });
        });
      });
    });
    const begun = new Promise((done) => {
      request.on('response', done);
      request.on('close', done);
    });
    return { reply, begun, cancel: () => request.destroy() };
  }

  /** All on one connection. */
  #openHttp2({ method, path = '/', headers = {}, body }: Asked): Call {
    this.#caller ??= new Http2Caller(this.harness.port);
    const isGrpc = this.protocol === 'grpc';
    const call = this.#caller.open({
      ':method': method ?? (isGrpc ? 'POST' : 'GET'),
      ':path': path,
      ...(isGrpc ? { 'content-type': 'application/grpc', te: 'trailers' } : {}),
      ...headers,
    });
    call.end(body ?? (isGrpc ? 'message' : ''));
    const reply = call.reply.then(toldBy);
    return { reply, begun: call.head, cancel: () => call.stream.close(8) };
  }
}

/** Those of the control thread, on connections of their own. */
function startChecks({ slots }: Harness): HealthChecks {
  const { timers } = testRuntime;
  const options = { network: nodeNetwork(), timers, localAddress: undefined };
  return new HealthChecks({
    ...testRuntime,
    log: silentLog,
    cellsOf: (id) => new HealthCells(slots.cells.endpoint, slots.offset('endpoint', id)),
    probe: (target, told) => probeHealth(options, target, told),
  });
}

function toldBy({ status, headers, trailers, body, resetCode }: Http2Reply): Told {
  const said = trailers['grpc-status'] ?? headers['grpc-status'];
  const grpcStatus = said === undefined ? undefined : Number(said);
  return { status, grpcStatus, headers, body, isCut: resetCode !== 0 };
}
