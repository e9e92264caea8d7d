// How a simulated pod calls a mesh name: it asks its own node's proxy for the address (UDP DNS),
// turns ClusterIP and port into that proxy and target port – what kube-proxy does in a cluster –
// and dials from its own address, which is how the proxy knows who calls. Connections are kept
// open.
import { Resolver } from 'node:dns/promises';
import { Agent } from '../../kube/index.ts';
import type { Clock } from '../../lib/clock.ts';

/** Who calls, and through which proxy. */
export type MeshClientOptions = {
  readonly clock: Clock;
  /** The pod's address; every connection comes from it. */
  readonly podAddress: string;
  readonly proxyAddress: string;
  readonly dnsPort: number;
  readonly targetPort: (clusterIp: string, port: number) => number | undefined;
};

/** One request to a mesh name. */
export type MeshCall = {
  readonly method: string;
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
};

/** What came back, from a pod or from the mesh. */
export type MeshAnswer = {
  readonly status: number;
  /** `weft-reason`, when the mesh itself answered. */
  readonly reason: string | undefined;
  readonly body: string;
};

/** The answers' own TTL is 5 s; shorter, so that a re-created Service is found soon. */
const addressTtlMs = 1000;
const connectionsMax = 16;
const answerTimeoutMs = 10_000;

type Known = { readonly address: string; readonly untilMs: number };

/** The calls of one pod; keeps its connections until `close`. */
export class MeshClient {
  readonly #options: MeshClientOptions;
  readonly #resolver: Resolver;
  readonly #agent: Agent;
  readonly #addresses = new Map<string, Known>();

  constructor(options: MeshClientOptions) {
    this.#options = options;
    this.#resolver = new Resolver({ timeout: 1000, tries: 3 });
    this.#resolver.setServers([`${options.proxyAddress}:${options.dnsPort}`]);
    this.#resolver.setLocalAddress(options.podAddress);
    this.#agent = new Agent({
      connections: connectionsMax,
      headersTimeout: answerTimeoutMs,
      bodyTimeout: answerTimeoutMs,
      localAddress: options.podAddress,
    });
  }

  /** Rejects when the name does not resolve, its port is not served, or the connection fails. */
  async call(call: MeshCall): Promise<MeshAnswer> {
    const clusterIp = await this.#resolve(call.host);
    const port = this.#options.targetPort(clusterIp, call.port);
    if (port === undefined) {
      throw new Error(`nothing serves ${clusterIp}:${call.port} (${call.host})`);
    }
    const answer = await this.#agent.request({
      origin: `http://${this.#options.proxyAddress}:${port}`,
      path: call.path,
      // The verb is checked by the server that gets it.
      method: call.method as 'GET',
      headers: {
        ...call.headers,
        host: call.port === 80 ? call.host : `${call.host}:${call.port}`,
      },
    });
    const body = await answer.body.text();
    const reason = answer.headers['weft-reason'];
    return {
      status: answer.statusCode,
      reason: typeof reason === 'string' ? reason : undefined,
      body,
    };
  }

  close(): Promise<void> {
    this.#resolver.cancel();
    return this.#agent.destroy();
  }

  async #resolve(host: string): Promise<string> {
    const nowMs = this.#options.clock.nowMs();
    const known = this.#addresses.get(host);
    if (known !== undefined && known.untilMs > nowMs) return known.address;
    const [address] = await this.#resolver.resolve4(host);
    if (address === undefined) throw new Error(`${host} has no address`);
    this.#addresses.set(host, { address, untilMs: nowMs + addressTtlMs });
    return address;
  }
}
