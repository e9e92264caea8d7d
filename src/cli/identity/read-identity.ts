// Reads what `weft identity` shows: ConfigMap `weft-trust`, and from each proxy – through the API
// server, so that it works from anywhere – `/version` and `/metrics`. Both are open pages; no key
// and no Secret is read.
import { readTrustBundle } from '../../identity/index.ts';
import { resourcePath, type Connection } from '../../kube/index.ts';
import { listAt, textAt } from '../../lib/raw-object.ts';
import { nameOf, orNothing, readAll } from '../check/read-cluster.ts';
import { readExpiries } from './identity-facts.ts';
import type { IdentityFacts, ProxyIdentities } from './identity-facts.ts';

const core = { group: '', version: 'v1' };
const adminPort = 15_020;
/** A proxy that does not say it by then is not well. */
const answerTimeoutMs = 3_000;
const askedAtOnce = 20;
/** 110 pods and as many accounts: a tenth of this. */
const pageBytesMax = 32 * 1024 * 1024;
const labelSelector = 'app.kubernetes.io/name=weft,app.kubernetes.io/component=proxy';

export async function readIdentity(
  connection: Connection,
  namespace: string,
): Promise<IdentityFacts> {
  const path = { ...core, plural: 'configmaps', namespace, name: 'weft-trust' };
  const trust = await orNothing(connection.get(resourcePath(path)));
  const annotation = (name: string): string | undefined =>
    textAt(trust, 'metadata', 'annotations', `weft.dev/${name}`);
  const { roots } = readTrustBundle(textAt(trust, 'data', 'ca.crt') ?? '');
  const pods = await readAll(
    connection,
    { ...core, plural: 'pods', namespace },
    (pod) => ({ pod: nameOf(pod), node: textAt(pod, 'spec', 'nodeName') ?? '' }),
    { labelSelector },
  );
  const proxies: ProxyIdentities[] = [];
  for (let at = 0; at < pods.length; at += askedAtOnce) {
    const some = pods.slice(at, at + askedAtOnce);
    proxies.push(...(await Promise.all(some.map((pod) => readProxy(connection, namespace, pod)))));
  }
  return {
    trustDomain: annotation('trust-domain'),
    phase: annotation('phase') ?? '',
    roots: roots.map(({ fingerprint, notAfterMs }, index) => ({
      fingerprint,
      notAfterMs,
      isSigning: index === 0,
    })),
    proxies: proxies.sort((left, right) => (left.node < right.node ? -1 : 1)),
  };
}

async function readProxy(
  connection: Connection,
  namespace: string,
  place: { readonly pod: string; readonly node: string },
): Promise<ProxyIdentities> {
  const name = `${place.pod}:${adminPort}`;
  const path = resourcePath({ ...core, plural: 'pods', namespace, name, subresource: 'proxy' });
  try {
    const said = await connection.within(answerTimeoutMs).get(`${path}/version`);
    const roots = listAt(said, 'trust', 'roots').filter((one) => typeof one === 'string');
    const page = await readPage(connection, `${path}/metrics`);
    const trusts = roots.length === 0 ? undefined : roots;
    return { ...place, trusts, certificates: readExpiries(page) };
  } catch {
    // Whatever went wrong on the way: it does not answer, and that is what is shown.
    return { ...place, trusts: undefined, certificates: [] };
  }
}

/** Text, bounded in time and size. */
async function readPage(connection: Connection, path: string): Promise<string> {
  const signal = AbortSignal.timeout(answerTimeoutMs);
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of await connection.openStream(path, {}, signal)) {
    bytes += chunk.byteLength;
    if (bytes > pageBytesMax) throw new Error('the page is too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
