// Service `h1` with a mirror, `copy`, in a running data plane on real sockets: what each pod got,
// what became of the copies, and that nothing is left of them when it is over.
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'vitest';
import type { AttemptFacts, ExchangeFacts, ExchangeObserver } from '../../src/dataplane/index.ts';
import type { DataplaneLimits } from '../../src/dataplane/index.ts';
import type { AnyObject } from './builders.ts';
import { startHarness } from './dataplane-harness.ts';
import type { Harness, TestEndpoint } from './dataplane-harness.ts';
import { connectTo, eventually } from './dataplane-sockets.ts';
import type { Peer } from './dataplane-sockets.ts';
import { expectNothingLeft } from './nothing-left.ts';
import { podAt, serviceObjects, settledMesh } from './settings-mesh.ts';
import type { Annotations, SettingsMesh } from './settings-mesh.ts';

/** A whole request that a pod got. */
export type Got = {
  readonly method: string;
  readonly url: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly trailers: NodeJS.Dict<string>;
  readonly body: string;
};

/** A pod that reads whole requests and answers them as a test says. */
export class HttpPod {
  readonly endpoint: TestEndpoint;
  /** Whole ones. */
  readonly got: Got[] = [];
  /** Heads that came, whatever became of their bodies. */
  began = 0;
  answer: (response: http.ServerResponse, request: Got) => void = (response) => {
    response.end('ok');
  };
  readonly #server: http.Server;

  private constructor(server: http.Server, address: string) {
    this.#server = server;
    this.endpoint = { address, port: (server.address() as AddressInfo).port };
    server.on('request', (request, response) => this.#take(request, response));
    server.on('checkContinue', (request, response) => this.#take(request, response));
    server.on('clientError', (_, socket) => socket.destroy());
  }

  static start(address: string): Promise<HttpPod> {
    const server = http.createServer({ requestTimeout: 0, keepAliveTimeout: 60_000 });
    return new Promise((done) => {
      server.listen(0, address, () => done(new HttpPod(server, address)));
    });
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #take(request: http.IncomingMessage, response: http.ServerResponse): void {
    this.began += 1;
    let body = '';
    request.setEncoding('latin1');
    request.on('error', () => undefined);
    response.on('error', () => undefined);
    request.on('data', (piece: string) => {
      body += piece;
    });
    request.on('end', () => {
      const { method = '', url = '', headers, trailers } = request;
      const got = { method, url, headers, trailers, body };
      this.got.push(got);
      this.answer(response, got);
    });
  }
}

/** Service `copy` with a pod of service account `copy` at each endpoint. */
export function copyObjects(
  endpoints: readonly TestEndpoint[],
  annotations: Annotations = {},
): readonly AnyObject[] {
  const pods = endpoints.map(({ address }) => podAt(address, 'copy'));
  return [...serviceObjects('copy', endpoints, { annotations }), ...pods];
}

export type MirrorMeshOptions = {
  readonly mirror?: string;
  /** Of service `copy`. */
  readonly onCopy?: Annotations;
  readonly limits?: Partial<DataplaneLimits>;
};

/** Where nobody listens. */
export const nowhere: TestEndpoint = { address: '127.0.0.9', port: 1 };

export class MirrorMesh {
  readonly app: HttpPod;
  readonly mirror: HttpPod;
  readonly harness: Harness;
  readonly outcomes: string[] = [];
  readonly exchanges: ExchangeFacts[] = [];
  readonly attempts: AttemptFacts[] = [];
  readonly clients: Peer[] = [];
  onAttempt: (attempt: AttemptFacts) => void = () => undefined;

  private constructor(app: HttpPod, mirror: HttpPod, harness: Harness) {
    this.app = app;
    this.mirror = mirror;
    this.harness = harness;
  }

  static async start(options: MirrorMeshOptions = {}): Promise<MirrorMesh> {
    const app = await HttpPod.start('127.0.0.2');
    const mirror = await HttpPod.start('127.0.0.4');
    app.answer = (response) => response.end('app');
    const seen: { mesh?: MirrorMesh } = {};
    const observer: Partial<ExchangeObserver> = {
      copyEnded: (_, outcome) => seen.mesh?.outcomes.push(outcome),
      exchangeFinished: (facts) => seen.mesh?.exchanges.push(facts),
      attemptFinished: (_, attempt) => {
        seen.mesh?.attempts.push(attempt);
        seen.mesh?.onAttempt(attempt);
      },
    };
    const endpoints = [app.endpoint, mirror.endpoint, nowhere];
    const harness = await startHarness({ endpoints, observer, limits: options.limits ?? {} });
    const mesh = new MirrorMesh(app, mirror, harness);
    seen.mesh = mesh;
    mesh.settle(options);
    return mesh;
  }

  /** Puts annotations in force; the answer is what is wrong with them. */
  settle(
    { mirror = 'copy', onCopy = {} }: MirrorMeshOptions,
    more: Partial<SettingsMesh> = {},
  ): readonly string[] {
    return this.settleObjects(mirror, copyObjects([this.mirror.endpoint], onCopy), more);
  }

  settleObjects(
    mirror: string,
    others: readonly AnyObject[],
    more: Partial<SettingsMesh> = {},
  ): readonly string[] {
    const { table, problems } = settledMesh({
      endpoints: [this.app.endpoint],
      onService: mirror === '' ? {} : { 'weft.dev/mirror': mirror },
      ...more,
      others: [...others, ...(more.others ?? [])],
    });
    this.harness.dataplane.publish(table);
    return problems.map(({ reason, message }) => `${reason}: ${message}`);
  }

  async client(): Promise<Peer> {
    const peer = await connectTo(this.harness.port);
    this.clients.push(peer);
    return peer;
  }

  /** One request on a connection of its own, and its whole answer. */
  async ask(text: string): Promise<string> {
    const peer = await this.client();
    peer.send(text);
    await peer.until(() => /\r\n\r\n[^]*(?:app|ok|\n)$/.test(peer.text), 'an answer');
    return peer.text;
  }

  /** Copies that have ended or were skipped. */
  async ended(count: number): Promise<readonly string[]> {
    await eventually(() => this.outcomes.length >= count, `${count} copies have ended`);
    return this.outcomes;
  }

  /** Nothing of a copy is left, nor of anything else. */
  async close(): Promise<void> {
    for (const one of this.clients) one.socket.destroy();
    const { dataplane } = this.harness;
    await eventually(() => dataplane.state().mirrors.copies === 0, 'all copies have ended');
    expect(dataplane.state().mirrors.bytes).toBe(0);
    await expectNothingLeft(this.harness, [this.app, this.mirror]);
    expect(dataplane.state().mirrors).toEqual({ copies: 0, bytes: 0, upstreamOpen: 0 });
  }
}
