// The DNS of a cluster in memory: its ConfigMaps by short names, one keeper, and a clock that the
// test moves.
import type { Problem } from '../../src/api/index.ts';
import { meshSettingsOf, parsers } from '../../src/api/index.ts';
import type { ClusterState, MeshSettings, Namespace, Service } from '../../src/api/index.ts';
import { keepDns, type DnsKeeper } from '../../src/controller/dns/keep-dns.ts';
import { silentLog } from '../../src/telemetry/index.ts';
import { FakeRuntime, settle } from '../kube/support/fake-runtime.ts';
import { stateOf } from './builders.ts';
import { MemoryObjects } from './memory-objects.ts';

export const kubeadm = `.:53 {
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       fallthrough in-addr.arpa ip6.arpa
    }
    forward . /etc/resolv.conf
    cache 30
    loop
    reload
}
`;
/** As AKS, k3s and others have it. */
export const importing = `${kubeadm}import custom/*.server\n`;

const address = '10.96.7.7';

export class DnsCluster {
  readonly fake = new FakeRuntime();
  readonly api = new MemoryObjects();
  readonly settings: MeshSettings;
  isLeading = true;
  readonly #keeper: DnsKeeper;
  #address: string | undefined = address;
  #namespaces: readonly string[] = ['default', 'kube-system'];

  constructor(domains: readonly string[] = ['mesh']) {
    this.settings = meshSettingsOf(new Map([['mesh-domain', domains]]));
    this.#keeper = keepDns({
      connection: this.api.connection,
      settings: this.settings,
      runtime: this.fake.runtime,
      log: silentLog,
      isLeading: () => this.isLeading,
      onProblems: () => undefined,
    });
  }

  /** `coredns` is kube-system's; others with their namespace. */
  path(name: string): string {
    const [namespace = '', own = ''] = name.includes('/') ? name.split('/') : ['kube-system', name];
    return `/api/v1/namespaces/${namespace}/configmaps/${own}`;
  }

  put(name: string, data: Readonly<Record<string, string>> | undefined): void {
    const metadata = { name: name.split('/').at(-1) };
    this.api.put(this.path(name), data === undefined ? { metadata } : { metadata, data });
  }

  putDeployment(name: string): void {
    const collection = '/apis/apps/v1/namespaces/kube-system/deployments';
    this.api.put(`${collection}/${name}`, { metadata: { name } });
  }

  data(name: string): Readonly<Record<string, string>> | undefined {
    return this.api.at(this.path(name))?.['data'] as Record<string, string> | undefined;
  }

  /** The Corefile of that ConfigMap. */
  corefile(name = 'coredns'): string {
    return this.data(name)?.['Corefile'] ?? '';
  }

  edit(name: string, data: Readonly<Record<string, string | null>>): void {
    const all = Object.entries({ ...this.data(name), ...data });
    const kept = all.filter((entry): entry is [string, string] => entry[1] !== null);
    this.put(name, Object.fromEntries(kept));
  }

  set address(to: string | undefined) {
    this.#address = to;
    this.tell();
  }

  set namespaces(to: readonly string[]) {
    this.#namespaces = to;
    this.tell();
  }

  /** What the controller's watch would say now. */
  tell(): void {
    this.#keeper.want(this.#state());
  }

  /** Some looks later. */
  async after(ms: number): Promise<void> {
    this.tell();
    await this.fake.advance(ms);
    for (let rounds = 0; rounds < 20; rounds += 1) await settle();
  }

  look(): void {
    this.#keeper.look();
  }

  get problems(): readonly Problem[] {
    return this.#keeper.problems();
  }

  get reasons(): readonly string[] {
    return this.problems.map(({ kind, namespace, name, reason }) => {
      return `${kind} ${namespace === '' ? '' : `${namespace}/`}${name} ${reason}`;
    });
  }

  #state(): ClusterState {
    const namespaces = this.#namespaces.flatMap((name) => {
      const parsed = parsers.Namespace({ metadata: { name, uid: name } }).value;
      return parsed === undefined ? [] : [parsed];
    });
    const clusterIP = this.#address ?? '';
    const service = parsers.Service({
      metadata: { name: 'weft-dns', namespace: 'weft-system', uid: 'u' },
      spec: { clusterIP, clusterIPs: clusterIP === '' ? [] : [clusterIP], ports: [{ port: 53 }] },
    }).value;
    const objects: (Namespace | Service)[] = [...namespaces];
    if (service !== undefined) objects.push(service);
    return stateOf(...objects);
  }
}
