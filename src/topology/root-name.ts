// What `spec.service` of a TrafficSplit names: a Service of the split's own namespace in any
// spelling that Kubernetes or the mesh has for it, or else a host alias. A name that belongs to
// somebody – anything inside a mesh domain or the cluster domain, or `name.other-namespace` – is
// refused as an alias: a split would take over another namespace's name with it.
import type { MeshSettings } from '../api/index.ts';
import { normaliseAddress } from '../lib/address.ts';

export type RootName =
  | { readonly kind: 'service'; readonly name: string }
  | { readonly kind: 'alias'; readonly hostname: string }
  | { readonly kind: 'refused'; readonly why: string };

export type RootScope = {
  /** Namespace of the split. */
  readonly namespace: string;
  readonly settings: MeshSettings;
  readonly isNamespace: (name: string) => boolean;
};

/** A host name of at least two labels (RFC 1123); no port, no wildcard. */
const hostname =
  /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+$/;

/** Reads `text`, lower case and without a trailing dot. */
export function rootNameOf(text: string, scope: RootScope): RootName {
  if (!text.includes('.')) return { kind: 'service', name: text };
  const { namespace, settings } = scope;
  const clusterSuffix = `svc.${settings.clusterDomain}`;
  const meshSuffixes = settings.meshDomains.flatMap((domain) =>
    domain.includes('.') ? [domain] : [domain, `${domain}.${clusterSuffix}`],
  );
  const own = [
    namespace,
    ...['svc', clusterSuffix, ...meshSuffixes].map((end) => `${namespace}.${end}`),
  ];
  for (const end of own) {
    const name = text.endsWith(`.${end}`) ? text.slice(0, -end.length - 1) : '';
    if (name !== '' && !name.includes('.')) return { kind: 'service', name };
  }
  const owner = ownerOf(text, scope);
  if (owner !== undefined) return { kind: 'refused', why: `${text} ${owner}` };
  if (!hostname.test(text) || normaliseAddress(text) !== undefined) {
    return { kind: 'refused', why: `${text} is no hostname` };
  }
  return { kind: 'alias', hostname: text };
}

/** To whom a name belongs that no split may claim. */
function ownerOf(text: string, { settings, isNamespace }: RootScope): string | undefined {
  for (const domain of settings.meshDomains) {
    if (isInside(text, domain)) return `is inside the mesh domain ${domain}`;
  }
  if (isInside(text, settings.clusterDomain)) {
    return `is inside the cluster domain ${settings.clusterDomain}`;
  }
  if (isInside(text, 'svc')) return 'is a name of a Service of another namespace';
  const [, namespace = '', ...more] = text.split('.');
  if (more.length === 0 && isNamespace(namespace)) return `is a name of namespace ${namespace}`;
  return undefined;
}

function isInside(name: string, domain: string): boolean {
  return name === domain || name.endsWith(`.${domain}`);
}
