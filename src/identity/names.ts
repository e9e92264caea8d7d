// Names of Kubernetes (RFC 1123) as identities use them, and the name that binds a certificate to a
// node: `<node>.node.weft.dev`. Lower case only: two spellings of a name would be two readings.

/** Service account of the proxies, as the manifests name it; labels are anybody's to write. */
export const proxyServiceAccount = 'weft-proxy';

/** RFC 1123 label, as Kubernetes names namespaces. */
const labelPattern = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
/** Longest RFC 1123 subdomain, and the longest DNS name as text. */
const subdomainBytesMax = 253;
const nodeSuffix = '.node.weft.dev';

/** Whether a namespace may be called so. */
export function isLabel(text: string): boolean {
  return labelPattern.test(text);
}

/** Whether a ServiceAccount, a pod or a node may be called so. */
export function isSubdomain(text: string): boolean {
  return text.length <= subdomainBytesMax && text.split('.').every(isLabel);
}

/**
 * The DNS SAN that binds a certificate to node `nodeName`; `undefined` when the node can have none.
 * Kubernetes allows names of nodes of up to 253 bytes, a DNS name with our suffix only 239.
 */
export function nodeBindingOf(nodeName: string): string | undefined {
  if (!isSubdomain(nodeName)) return undefined;
  const name = `${nodeName}${nodeSuffix}`;
  return name.length <= subdomainBytesMax ? name : undefined;
}

/** The node that a DNS SAN names, or `undefined` when it is no node binding of ours. */
export function boundNodeOf(dnsName: string): string | undefined {
  const nodeName = dnsName.slice(0, -nodeSuffix.length);
  return nodeBindingOf(nodeName) === dnsName ? nodeName : undefined;
}
