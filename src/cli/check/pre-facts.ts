// What `weft check --pre` knows of a cluster, and what it concludes. Pure: a cluster in, findings
// out. Which CNIs filter the source addresses of pods is from their own documentation; an unknown
// one counts as one that does not.
import { failed, ok, warning, type Finding } from './finding.ts';
import { rightText, type Right } from './install-needs.ts';
import { limitFindings, type LimitFacts } from './quota-facts.ts';

export type NodeFacts = {
  readonly name: string;
  /** Why no proxy can run there; `undefined`: one can. */
  readonly proxyObstacle: string | undefined;
  readonly isReady: boolean;
  /** Pods of it that keep NET_RAW, not counting those of the host network. */
  readonly rawPods: number;
};

export type Permission = Right & { readonly isAllowed: boolean };

export type DnsFacts = {
  /** `coredns`, `kube-dns`, …; `undefined` when none was found. */
  readonly provider: string | undefined;
  /** Where the block would go. */
  readonly place: string;
  /** Lines to add by hand, when we cannot. */
  readonly byHand: string | undefined;
};

export type PreFacts = {
  readonly serverVersion: { readonly major: number; readonly minor: number; readonly text: string };
  /** What applying the objects of an installation takes. */
  readonly permissions: readonly Permission[];
  /** What its roles grant; nobody may grant what they may not do. None: the installer may. */
  readonly grants: readonly Permission[];
  readonly limits: LimitFacts;
  readonly dns: DnsFacts;
  readonly namespaces: readonly string[];
  readonly meshNamespace: string;
  readonly meshDomains: readonly string[];
  readonly nodes: readonly NodeFacts[];
  /** Names of DaemonSets of the whole cluster, by which a CNI is known. */
  readonly daemonSets: readonly string[];
  /** Services in the mesh namespace that bear our names but not our label. */
  readonly foreignServices: readonly string[];
};

/** `internalTrafficPolicy`, and the name of the node in ServiceAccount tokens. */
const minorMin = 30;

export function preFindings(facts: PreFacts): readonly Finding[] {
  return [
    apiVersion(facts),
    ...permissions(facts),
    ...limitFindings(facts.limits),
    dnsProvider(facts),
    ...domainNamespaces(facts),
    portNames(facts),
    ...nodesWithoutProxy(facts),
    sourceFilter(facts),
  ];
}

function apiVersion({ serverVersion }: PreFacts): Finding {
  const { major, minor, text } = serverVersion;
  if (major > 1 || minor >= minorMin) return ok('api-version', `Kubernetes ${text}`);
  const message = `Kubernetes ${text} is older than 1.${minorMin}`;
  return failed('api-version', message, `upgrade the cluster to 1.${minorMin} or newer`);
}

const shownMax = 6;

function permissions({ permissions: asked, grants }: PreFacts): readonly Finding[] {
  const fix = 'install as somebody who may, such as cluster-admin';
  const missing = textsOf(asked);
  const ungranted = textsOf(grants);
  const found: Finding[] = [];
  if (missing !== '') found.push(failed('permissions', `you may not ${missing}`, fix));
  if (ungranted !== '') {
    const message = `you may not grant the roles of weft what you may not do: ${ungranted}`;
    found.push(failed('permissions', message, fix));
  }
  if (found.length > 0) return found;
  return [ok('permissions', 'you may apply all that weft consists of')];
}

function textsOf(asked: readonly Permission[]): string {
  const missing = asked.filter(({ isAllowed }) => !isAllowed).map(rightText);
  const more = missing.length > shownMax ? ` and ${missing.length - shownMax} more` : '';
  return missing.slice(0, shownMax).join(', ') + more;
}

function dnsProvider({ dns }: PreFacts): Finding {
  if (dns.provider === undefined) {
    const fix = dns.byHand ?? 'make the DNS of the cluster forward the mesh domain to weft-dns';
    return failed('dns-provider', 'no DNS of the cluster was found that we can wire', fix);
  }
  return ok('dns-provider', `${dns.provider}, wired in ${dns.place}`);
}

/** With `ndots:5` the resolver asks `reviews.shop.mesh.svc.cluster.local` first. */
function domainNamespaces({ namespaces, meshDomains }: PreFacts): readonly Finding[] {
  const taken = meshDomains.filter((domain) => namespaces.includes(domain));
  if (taken.length === 0) return [ok('mesh-domain', `no namespace is called ${meshDomains[0]}`)];
  return taken.map((domain) =>
    failed(
      'mesh-domain',
      `a namespace is called ${domain}: its services could answer for names of the mesh`,
      'choose another --mesh-domain',
    ),
  );
}

function portNames({ foreignServices, meshNamespace }: PreFacts): Finding {
  if (foreignServices.length === 0) return ok('names', `no Service stands in our way`);
  const names = foreignServices.join(', ');
  const message = `${meshNamespace} holds Services of our names that are not ours: ${names}`;
  const fix = 'remove them, or choose another namespace (weft install --namespace)';
  return failed('names', message, fix);
}

function nodesWithoutProxy({ nodes }: PreFacts): readonly Finding[] {
  const lacking = obstacleFindings(nodes);
  if (lacking.length > 0) return lacking;
  return [ok('nodes', `all ${nodes.length} nodes can run a proxy`)];
}

/** A warning for each node on which no proxy can run. */
export function obstacleFindings(
  nodes: readonly Pick<NodeFacts, 'name' | 'proxyObstacle'>[],
): readonly Finding[] {
  return nodes.flatMap(({ name, proxyObstacle }) => {
    if (proxyObstacle === undefined) return [];
    const message = `${name} cannot run a proxy: ${proxyObstacle}; its pods can call no mesh name`;
    return [warning('nodes', message, 'run workloads that call mesh names elsewhere')];
  });
}

const filtering = ['calico-node', 'cilium', 'canal', 'antrea-agent', 'ovnkube-node'];

/** Who may send with another pod's address can be that pod to a proxy without certificates. */
function sourceFilter({ daemonSets, nodes }: PreFacts): Finding {
  const cni = filtering.find((name) => daemonSets.includes(name));
  if (cni !== undefined) return ok('source-addresses', `${cni} filters the addresses of pods`);
  const open = nodes.filter(({ rawPods }) => rawPods > 0);
  if (open.length === 0) return ok('source-addresses', 'no pod keeps NET_RAW');
  const pods = open.reduce((sum, { rawPods }) => sum + rawPods, 0);
  return warning(
    'source-addresses',
    `${pods} pods on ${open.length} nodes keep NET_RAW, and no CNI was found that filters ` +
      'source addresses: such a pod can pose as a neighbour on its node',
    'drop NET_RAW (capabilities: drop: [ALL]) in untrusted pods, or use a CNI that filters',
  );
}
