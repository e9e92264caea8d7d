// What `weft check` knows of a mesh that is installed, and what it concludes. Pure: what was read
// in, findings out. A node is well when its proxy is ready and runs the build and the policy of the
// others.
import { certificateFindings, type CertificateFacts } from './certificate-facts.ts';
import { failed, ok, warning, type Finding } from './finding.ts';
import { obstacleFindings, type NodeFacts } from './pre-facts.ts';

export type ProxyFacts = {
  readonly pod: string;
  readonly node: string;
  readonly isReady: boolean;
  /** What its admin port says; `undefined` when it did not answer. */
  readonly version: ProxyVersion | undefined;
  /** Why the container is not running, in the kubelet's words. */
  readonly waiting: string | undefined;
};

export type ProxyVersion = {
  readonly build: string;
  readonly policyVersion: string;
  /** It speaks of trust: mutual TLS is not off. */
  readonly hasIdentity: boolean;
};

export type MeshFacts = {
  readonly meshNamespace: string;
  /** Of this program. */
  readonly build: string;
  readonly isInstalled: boolean;
  /** That of the proxies; `undefined` when nothing is installed. */
  readonly image: string | undefined;
  readonly controllers: {
    readonly wanted: number;
    readonly ready: number;
    /** Of those that answer. */
    readonly builds: readonly string[];
  };
  /** Who holds the Lease, and how old its last renewal is. */
  readonly leader: { readonly holder: string; readonly ageSeconds: number } | undefined;
  readonly nodes: readonly Pick<NodeFacts, 'name' | 'proxyObstacle'>[];
  readonly proxies: readonly ProxyFacts[];
  /** Name → ClusterIPs; no entry where the Service is missing. */
  readonly services: ReadonlyMap<string, readonly string[]>;
  readonly certificates: CertificateFacts;
  readonly dns: readonly Finding[];
  /** SMI objects that are not accepted: `TrafficSplit shop/reviews: …`. */
  readonly refused: readonly string[];
  /** `namespace/name` of Services whose pods serve HTTPS, and nobody verifies who they are. */
  readonly unverified: readonly string[];
};

/** A leader renews every few seconds; after this the next one should have taken over. */
const leaseAgeMaxSeconds = 30;
const shownMax = 5;

export function meshFindings(facts: MeshFacts): readonly Finding[] {
  if (!facts.isInstalled) {
    const fix = 'weft install | kubectl apply -f -';
    return [failed('installed', `there is no mesh in namespace ${facts.meshNamespace}`, fix)];
  }
  return [
    controller(facts),
    leader(facts),
    ...meshServices(facts),
    ...facts.dns,
    ...nodesOf(facts),
    builds(facts),
    ...certificateFindings(facts.certificates),
    policyVersions(facts),
    refusedObjects(facts),
    ...unverifiedPods(facts),
  ];
}

function controller({ controllers, meshNamespace }: MeshFacts): Finding {
  const { wanted, ready } = controllers;
  const message = `${ready} of ${wanted} controllers are ready`;
  if (ready === wanted && wanted > 0) return ok('controller', message);
  const fix = `kubectl -n ${meshNamespace} describe pod -l app.kubernetes.io/component=controller`;
  return ready > 0 ? warning('controller', message, fix) : failed('controller', message, fix);
}

function leader({ leader: held, meshNamespace }: MeshFacts): Finding {
  const fix = `kubectl -n ${meshNamespace} logs -l app.kubernetes.io/component=controller`;
  if (held === undefined) return failed('leader', 'no controller has ever become leader', fix);
  const { holder, ageSeconds } = held;
  if (ageSeconds <= leaseAgeMaxSeconds) return ok('leader', `${holder} leads`);
  const message = `nobody leads: ${holder} renewed its Lease ${Math.round(ageSeconds)} s ago`;
  return failed('leader', message, fix);
}

function meshServices({ services, meshNamespace }: MeshFacts): readonly Finding[] {
  const wanted = ['weft-http', 'weft-dns'];
  const missing = wanted.filter((name) => (services.get(name) ?? []).length === 0);
  if (missing.length === 0) return [ok('mesh-services', wanted.map(named(services)).join(', '))];
  const message = `without a ClusterIP in ${meshNamespace}: ${missing.join(', ')}`;
  return [failed('mesh-services', message, 'the controller makes them: see its log')];
}

function named(services: MeshFacts['services']): (name: string) => string {
  return (name) => `${name} ${(services.get(name) ?? []).join(' ')}`;
}

function nodesOf({ nodes, proxies, meshNamespace }: MeshFacts): readonly Finding[] {
  const findings: Finding[] = [];
  const wanted = proxyNodes(nodes);
  for (const node of wanted) {
    const here = proxies.filter((proxy) => proxy.node === node);
    const serving = here.find(({ isReady, version }) => isReady && version !== undefined);
    if (serving !== undefined) continue;
    const [first] = here;
    const fix =
      first === undefined
        ? `kubectl -n ${meshNamespace} describe daemonset weft-proxy`
        : `kubectl -n ${meshNamespace} describe pod ${first.pod}`;
    findings.push(failed('nodes', `${node} has no proxy that serves: ${whyNot(first)}`, fix));
  }
  if (findings.length === 0) findings.push(ok('nodes', servingText(wanted.length, nodes.length)));
  return [...findings, ...obstacleFindings(nodes)];
}

function servingText(wanted: number, all: number): string {
  return `a proxy serves on each of ${wanted} nodes${wanted === all ? '' : ' that can have one'}`;
}

/** Names of the nodes that should have a proxy. */
export function proxyNodes(nodes: MeshFacts['nodes']): readonly string[] {
  return nodes.flatMap(({ name, proxyObstacle }) => (proxyObstacle === undefined ? [name] : []));
}

function whyNot(proxy: ProxyFacts | undefined): string {
  if (proxy === undefined) return 'there is no pod of the DaemonSet';
  if (proxy.waiting !== undefined) return `${proxy.pod} waits (${proxy.waiting})`;
  if (!proxy.isReady) return `${proxy.pod} is not ready`;
  return `${proxy.pod} does not answer on its admin port`;
}

function builds({ proxies, controllers, build, meshNamespace }: MeshFacts): Finding {
  const running = nodesByBuild(proxies);
  const [one = ''] = running.keys();
  const rollout = `kubectl -n ${meshNamespace} rollout status`;
  if (running.size > 1) {
    const text = [...running].map(([name, nodes]) => `${name} on ${someOf(nodes)}`).join(', ');
    return warning('versions', `proxies run ${text}`, `${rollout} daemonset weft-proxy`);
  }
  const others = [...new Set(controllers.builds)].filter((name) => name !== one).sort();
  if (running.size === 1 && others.length > 0) {
    const message = `proxies run ${one}, controllers ${others.join(', ')}`;
    return warning('versions', message, `${rollout} deployment weft-controller`);
  }
  if (running.size === 1 && one !== build) {
    const fix = 'weft upgrade, with the image of this build';
    return warning('versions', `all proxies run ${one}, this program is ${build}`, fix);
  }
  return ok('versions', running.size === 0 ? 'no proxy runs' : `all proxies run ${one}`);
}

/** Sorted by build. */
function nodesByBuild(proxies: MeshFacts['proxies']): ReadonlyMap<string, readonly string[]> {
  const nodes = new Map<string, readonly string[]>();
  for (const { version, node } of proxies) {
    if (version === undefined) continue;
    nodes.set(version.build, [...(nodes.get(version.build) ?? []), node]);
  }
  return new Map([...nodes].sort(([left], [right]) => (left < right ? -1 : 1)));
}

function someOf(names: readonly string[]): string {
  const more = names.length > shownMax ? ` and ${names.length - shownMax} more` : '';
  return `${names.slice(0, shownMax).join(', ')}${more}`;
}

function policyVersions({ proxies }: MeshFacts): Finding {
  const versions = new Set(proxies.flatMap(({ version }) => version?.policyVersion ?? []));
  if (versions.size <= 1) return ok('configuration', 'all proxies use the same objects');
  const fix = 'look again: a change may be on its way; else see the log of the proxies';
  return warning('configuration', `proxies use ${versions.size} different sets of objects`, fix);
}

/** Nothing where no pod serves HTTPS: most meshes have no such pods. */
function unverifiedPods({ unverified }: MeshFacts): readonly Finding[] {
  if (unverified.length === 0) return [];
  const message = `nobody verifies who answers for ${shownOf(unverified)} (weft.dev/scheme: https)`;
  const fix = 'weft.dev/tls-verify: system, where a public authority signs what their pods show';
  return [warning('tls-verify', message, fix)];
}

function shownOf(names: readonly string[], separator = ', '): string {
  const more = names.length > shownMax ? ` and ${names.length - shownMax} more` : '';
  return names.slice(0, shownMax).join(separator) + more;
}

function refusedObjects({ refused }: MeshFacts): Finding {
  if (refused.length === 0) return ok('objects', 'every SMI object is accepted');
  const fix = 'kubectl describe shows why, and what to change';
  return warning('objects', `not accepted: ${shownOf(refused, '; ')}`, fix);
}
