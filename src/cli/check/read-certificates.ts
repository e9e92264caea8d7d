// Reads what `weft check` says of certificates: what each proxy holds and trusts (as `weft
// identity` reads it), and the pods of the cluster, from which follows what each node needs.
// IO without judgement: see certificate-facts.ts.
import { parsers } from '../../api/index.ts';
import type { Connection } from '../../kube/index.ts';
import type { Clock } from '../../lib/clock.ts';
import { wantedIdentities } from '../../proxy/index.ts';
import { readSettings } from '../policy/read-policy-view.ts';
import { readIdentity } from '../identity/read-identity.ts';
import type { CertificateFacts } from './certificate-facts.ts';
import type { ProxyFacts } from './mesh-facts.ts';
import { readAll } from './read-cluster.ts';

export type CertificateQuestion = {
  readonly meshNamespace: string;
  readonly proxies: readonly ProxyFacts[];
  /** Wall clock: certificates are stamped by it. */
  readonly clock: Clock;
};

const core = { group: '', version: 'v1' };
/** A pod gets its certificate within a second; younger ones than this may still wait. */
const ageMinMs = 60_000;

export async function readCertificateFacts(
  connection: Connection,
  { meshNamespace, proxies, clock }: CertificateQuestion,
): Promise<CertificateFacts> {
  const answering = proxies.filter(({ version }) => version !== undefined);
  const without = answering.filter(({ version }) => version?.hasIdentity === false);
  const nowMs = clock.wallMs();
  const { mtls: mode } = await readSettings(connection, meshNamespace);
  const base = { meshNamespace, nowMs, mode, without: without.map(({ pod }) => pod) };
  if (without.length === answering.length) {
    return { ...base, identity: undefined, wanted: new Map() };
  }
  const identity = await readIdentity(connection, meshNamespace);
  const trustDomain = identity.trustDomain ?? '';
  const pods = (
    await readAll(connection, { ...core, plural: 'pods' }, (raw) => parsers.Pod(raw).value)
  ).flatMap((pod) => (pod !== undefined && nowMs - pod.meta.createdMs > ageMinMs ? [pod] : []));
  const wanted = new Map<string, readonly string[]>();
  for (const { node: nodeName } of identity.proxies) {
    const input = { nodeName, meshNamespace, trustDomain, pods };
    wanted.set(nodeName, wantedIdentities(input).map(({ id }) => id));
  }
  return { ...base, identity, wanted };
}
