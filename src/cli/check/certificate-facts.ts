// What `weft check` concludes of certificates: which nodes have all that they need, which lack one,
// and which use one that should have been replaced long ago. Pure. What a node needs is what its
// proxy itself would ask for (the same function says so), less what is too young to have it yet.
import type { MtlsMode } from '../../snapshot/index.ts';
import type { IdentityFacts, ProxyIdentities } from '../identity/identity-facts.ts';
import { failed, ok, warning, type Finding } from './finding.ts';

export type CertificateFacts = {
  readonly meshNamespace: string;
  readonly nowMs: number;
  /** Of the mesh; a Namespace may say its own. */
  readonly mode: MtlsMode;
  /** Pods of proxies that answer and have no identity: mutual TLS is off there. */
  readonly without: readonly string[];
  /** `undefined`: no proxy has one. */
  readonly identity: IdentityFacts | undefined;
  /** Node → SPIFFE ids for which a certificate is due, the proxy's own first. */
  readonly wanted: ReadonlyMap<string, readonly string[]>;
};

const check = 'certificates';
const hourMs = 3_600_000;
/** Of 24 h; renewal starts when 12 are left, and at 18 h of age a proxy itself complains. */
const leftMinMs = 6 * hourMs;
/** The controller warns from then on, too. */
const rootLeftMinMs = 30 * 24 * hourMs;
const shownMax = 3;
const requests = 'kubectl get csr --field-selector spec.signerName=weft.dev/workload';

export function certificateFindings(facts: CertificateFacts): readonly Finding[] {
  const { identity } = facts;
  if (identity === undefined) {
    if (facts.without.length === 0) return [];
    const plain = 'no proxy holds certificates, so calls between nodes are plain';
    return [ok(check, `mutual TLS is off (proxies of a build before it): ${plain}`)];
  }
  return [modeFinding(facts.mode), ...heldFindings(facts, identity)];
}

function modeFinding(mode: MtlsMode): Finding {
  const name = 'mutual-tls';
  const own = 'where the Namespace says nothing else';
  switch (mode) {
    case 'off':
      return ok(name, `mutual TLS is off (--mtls off): calls between nodes are plain ${own}`);
    case 'permissive':
      return ok(name, `permissive: plain to nodes without a proxy, ${own}`);
    case 'strict':
      return ok(name, `strict: nothing between nodes is plain, ${own}`);
  }
}

function heldFindings(facts: CertificateFacts, identity: IdentityFacts): readonly Finding[] {
  const broken = [...mixed(facts), ...roots(facts, identity)];
  let count = 0;
  let firstEndMs = Infinity;
  for (const proxy of identity.proxies) {
    if (proxy.trusts === undefined) continue;
    const found = ofProxy(facts, proxy);
    broken.push(...found);
    if (found.length > 0) continue;
    count += 1;
    firstEndMs = Math.min(firstEndMs, ...proxy.certificates.map((one) => one.notAfterMs));
  }
  if (count === 0) return broken;
  const first = `the first ends in ${Math.floor((firstEndMs - facts.nowMs) / hourMs)} h`;
  const message = `${count} proxies hold all the certificates that they need, ${first}`;
  return [ok(check, message), ...broken];
}

function mixed({ without, meshNamespace }: CertificateFacts): readonly Finding[] {
  if (without.length === 0) return [];
  const what = 'calls to their nodes are plain, and refused where mutual TLS is strict';
  const message = `no certificates in ${shown(without)} (a build before mutual TLS): ${what}`;
  const fix = `kubectl -n ${meshNamespace} rollout status daemonset weft-proxy`;
  return [warning(check, message, fix)];
}

function roots(
  { nowMs, meshNamespace }: CertificateFacts,
  facts: IdentityFacts,
): readonly Finding[] {
  if (facts.trustDomain === undefined) {
    const fix = `kubectl -n ${meshNamespace} logs -l app.kubernetes.io/component=controller`;
    return [failed(check, 'there is no trust bundle: the leading controller makes it', fix)];
  }
  return facts.roots.flatMap(({ fingerprint, notAfterMs }) => {
    if (notAfterMs - nowMs > rootLeftMinMs) return [];
    const message = `root ${fingerprint.slice(0, 16)} ${endOf(notAfterMs, nowMs)}`;
    const fix = 'weft ca rotate, or weft ca use with the next one';
    return [notAfterMs <= nowMs ? failed(check, message, fix) : warning(check, message, fix)];
  });
}

function ofProxy(facts: CertificateFacts, proxy: ProxyIdentities): readonly Finding[] {
  const { nowMs, meshNamespace } = facts;
  const { node, pod, certificates } = proxy;
  const held = new Set(certificates.map((one) => one.identity));
  const missing = (facts.wanted.get(node) ?? []).filter((id) => !held.has(id));
  const log = `kubectl -n ${meshNamespace} logs ${pod}`;
  const found: Finding[] = [];
  if (missing.length > 0) {
    const message = `${node} has no certificate for ${shown(missing)}`;
    found.push(failed(check, message, `${requests} shows what was asked for; ${log}`));
  }
  const late = certificates.filter(({ notAfterMs }) => notAfterMs - nowMs <= leftMinMs);
  for (const { identity, notAfterMs } of late.slice(0, shownMax)) {
    const message = `${node}: the certificate of ${identity} ${endOf(notAfterMs, nowMs)}`;
    const more = late.length > shownMax ? ` (and ${late.length - shownMax} more)` : '';
    const isOver = notAfterMs <= nowMs;
    found.push((isOver ? failed : warning)(check, message + more, `${log} says why it stays`));
  }
  return found;
}

function endOf(notAfterMs: number, nowMs: number): string {
  if (notAfterMs <= nowMs) return 'has expired';
  const hours = (notAfterMs - nowMs) / hourMs;
  return hours < 72 ? `ends in ${hours.toFixed(1)} h` : `ends in ${Math.floor(hours / 24)} days`;
}

function shown(names: readonly string[]): string {
  const more = names.length > shownMax ? ` and ${names.length - shownMax} more` : '';
  return `${names.slice(0, shownMax).join(', ')}${more}`;
}
