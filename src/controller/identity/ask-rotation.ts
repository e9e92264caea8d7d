// What an operator does to the authority: asks for a rotation of the root, or brings an authority
// of their own. It only lays down the wish in Secret `weft-ca` – the leading controller judges it
// again and takes the steps – and refuses what could not end well. Whoever runs it needs the right
// to write that Secret, and nothing else of the cluster.
import { checkAuthority } from '../../identity/control.ts';
import { kubeReason, resourcePath } from '../../kube/index.ts';
import type { Connection } from '../../kube/index.ts';
import type { Runtime } from '../../lib/clock.ts';
import { textAt, valueAt } from '../raw-object.ts';
import { authorityManifest, proposedAuthority } from './authority-manifest.ts';
import type { Proposal } from './authority-manifest.ts';
import { authorityName, caAnnotations, trustName } from './authority-secret.ts';

export type AskRotationOptions = {
  readonly connection: Connection;
  readonly runtime: Runtime;
  readonly meshNamespace: string;
  /** An authority of the operator's, and whose identities it signs; absent: a root of our own. */
  readonly proposal?: Proposal & { readonly trustDomain: string };
};

export type RotationOutcome =
  /** The controller goes on from here. */
  | { readonly kind: 'asked' }
  /** There was no authority yet: it is the one in force. */
  | { readonly kind: 'made' }
  /** Nothing was written. */
  | { readonly kind: 'refused'; readonly reasons: readonly string[] };

type Plural = 'secrets' | 'configmaps';

/** Throws KubeFailure. */
export async function askRotation(options: AskRotationOptions): Promise<RotationOutcome> {
  const { connection, runtime, proposal } = options;
  const nowMs = runtime.clock.wallMs();
  if (proposal !== undefined) {
    const { certificatePem: chainPem, keyPem, trustDomain } = proposal;
    const verdict = checkAuthority({ chainPem, keyPem, trustDomain, nowMs });
    if (verdict.kind === 'problems') {
      return { kind: 'refused', reasons: verdict.problems.map(({ message }) => message) };
    }
  }
  const secret = await read(options, 'secrets', authorityName);
  if (secret === undefined) return first(options, nowMs);
  const obstacle = obstacleOf(secret, proposal?.trustDomain);
  if (obstacle !== undefined) return { kind: 'refused', reasons: [obstacle] };
  const path = pathOf(options, 'secrets', authorityName);
  try {
    await connection.update(path, proposedAuthority(secret, proposal, nowMs));
    return { kind: 'asked' };
  } catch (error) {
    if (kubeReason(error) !== 'Conflict') throw error;
    const reason = `Secret ${authorityName} was changed meanwhile; try again`;
    return { kind: 'refused', reasons: [reason] };
  }
}

/** Why this is no moment for a rotation. */
function obstacleOf(secret: unknown, wanted: string | undefined): string | undefined {
  const annotation = (name: string): string | undefined =>
    textAt(secret, 'metadata', 'annotations', name);
  const phase = annotation(caAnnotations.phase) ?? 'steady';
  if (phase !== 'steady') {
    return `a rotation is in phase ${phase}; weft identity shows who is waited for`;
  }
  if (annotation(caAnnotations.rotate) !== undefined || hasNext(secret)) {
    return 'a rotation was asked for already; does the controller run?';
  }
  const domain = annotation(caAnnotations.trustDomain);
  if (wanted === undefined || wanted === domain) return undefined;
  return (
    `the mesh is of trust domain ${domain ?? '(none)'}, not ${wanted}; another trust domain is ` +
    `another mesh: remove Secret ${authorityName} and ConfigMap ${trustName} while nothing calls`
  );
}

function hasNext(secret: unknown): boolean {
  return valueAt(secret, 'data', 'next.crt') !== undefined;
}

async function first(options: AskRotationOptions, nowMs: number): Promise<RotationOutcome> {
  const { connection, meshNamespace: namespace, proposal } = options;
  if (proposal === undefined) {
    const where = `in namespace ${namespace}; is the mesh there?`;
    const reason = `there is no Secret ${authorityName} ${where}`;
    return { kind: 'refused', reasons: [reason] };
  }
  if ((await read(options, 'configmaps', trustName)) !== undefined) {
    const reason =
      `Secret ${authorityName} is lost while proxies trust its root: put it back, or remove ` +
      `ConfigMap ${trustName} first, which ends the connections of all proxies`;
    return { kind: 'refused', reasons: [reason] };
  }
  try {
    await connection.create(
      pathOf(options, 'secrets'),
      authorityManifest({ namespace, nowMs, ...proposal }),
    );
    return { kind: 'made' };
  } catch (error) {
    if (kubeReason(error) !== 'AlreadyExists') throw error;
    return { kind: 'refused', reasons: ['a controller has just made a root; try again'] };
  }
}

function pathOf({ meshNamespace: namespace }: AskRotationOptions, plural: Plural, name?: string) {
  const collection = { group: '', version: 'v1', plural, namespace };
  return resourcePath(name === undefined ? collection : { ...collection, name });
}

async function read(options: AskRotationOptions, plural: Plural, name: string): Promise<unknown> {
  try {
    return await options.connection.get(pathOf(options, plural, name));
  } catch (error) {
    if (kubeReason(error) === 'NotFound') return undefined;
    throw error;
  }
}
