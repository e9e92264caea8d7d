// A proxy as far as a rotation of the root sees one: a pod with an admin port that says which roots
// it trusts and uses. It reads ConfigMap `weft-trust` when the test says so, as late as the test
// likes.
import { createServer, type Server } from 'node:http';
import { readTrustBundle, type TrustRoot } from '../../../src/identity/index.ts';
import { textAt } from '../../../src/lib/raw-object.ts';
import { home, type IdentityCluster } from './identity-cluster.ts';

export class FakeTrust {
  roots: readonly TrustRoot[] = [];
  /** Fingerprints of the roots of its certificates. */
  inUse: readonly string[] = [];
  isSilent = false;
  /** How often it was asked. */
  asked = 0;
  readonly #cluster: IdentityCluster;
  readonly #address: string;
  readonly #server: Server;

  constructor(cluster: IdentityCluster, address: string) {
    this.#cluster = cluster;
    this.#address = address;
    this.#server = createServer((_request, response) => {
      this.asked += 1;
      if (this.isSilent) return response.destroy();
      const roots = this.roots.map(({ fingerprint }) => fingerprint);
      return response.end(JSON.stringify({ build: 'test', trust: { roots, inUse: this.inUse } }));
    });
  }

  /** Answers with the name and uid of its pod. */
  async start(node: string): Promise<{ readonly name: string; readonly uid: string }> {
    await new Promise<void>((resolve) => this.#server.listen(15_020, this.#address, resolve));
    const name = `weft-proxy-${node}`;
    const labels = { 'app.kubernetes.io/name': 'weft', 'app.kubernetes.io/component': 'proxy' };
    const created = await this.#cluster.create('pods', home, {
      kind: 'Pod',
      metadata: { name, labels },
      spec: {
        nodeName: node,
        serviceAccountName: 'weft-proxy',
        containers: [{ name: 'proxy', image: 'none' }],
      },
    });
    const status = { phase: 'Running', podIP: this.#address, podIPs: [{ ip: this.#address }] };
    const path = `/api/v1/namespaces/${home}/pods/${name}/status`;
    await this.#cluster.admin.patch(path, { kind: 'merge', body: { status } });
    return { name, uid: textAt(created, 'metadata', 'uid') ?? '' };
  }

  /** Trusts what is published. */
  async read(): Promise<void> {
    this.roots = readTrustBundle(await this.#cluster.trust()).roots;
  }

  /** Uses certificates of the root that signs. */
  renew(): void {
    this.inUse = this.roots.slice(0, 1).map(({ fingerprint }) => fingerprint);
  }

  stop(): Promise<void> {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }
}
