// CertificateSigningRequests as this controller reads and writes them: what of one counts for its
// queue, what of one counts for its judgement, and the two writes – a verdict among its conditions,
// a certificate in its status. Everything in `spec` but the stamps is its author's; it is cut to
// size before it is looked at. Pure.
import type { RequestFacts } from '../../identity/control.ts';
import { parseTimestamp } from '../../lib/timestamp.ts';
import { listAt, textAt, valueAt } from '../raw-object.ts';
import { timestampOf } from './authority-manifest.ts';
import type { Requester } from './request-pace.ts';

/** What the queue knows of a request: nothing that its author says. */
export type RequestEntry = {
  readonly name: string;
  readonly uid: string;
  readonly requester: Requester;
  readonly createdMs: number;
  /** `issued`: has a certificate. `refused`: Denied or Failed. Both are final. */
  readonly state: 'pending' | 'issued' | 'refused';
  /** Of the token, where it is bound: a pending request of a pod that is gone is of no use. */
  readonly pod: { readonly name: string; readonly uid: string } | undefined;
};

export type Verdict = {
  readonly type: 'Approved' | 'Denied' | 'Failed';
  readonly reason: string;
  readonly message: string;
  readonly nowMs: number;
};

const extraPrefix = 'authentication.kubernetes.io/';

/** `username`: of our proxies. `undefined` for what is no request, or is on its way out. */
export function readEntry(object: unknown, username: string): RequestEntry | undefined {
  const name = textAt(object, 'metadata', 'name');
  const uid = textAt(object, 'metadata', 'uid');
  if (name === undefined || uid === undefined) return undefined;
  if (textAt(object, 'metadata', 'deletionTimestamp') !== undefined) return undefined;
  const user = textAt(object, 'spec', 'username') ?? '';
  const node = stampOf(object, 'node-name');
  const podName = stampOf(object, 'pod-name');
  const podUid = stampOf(object, 'pod-uid');
  const isOnNode = user === username && node !== undefined;
  return {
    name,
    uid,
    requester: isOnNode ? { kind: 'node', name: node } : { kind: 'user', name: user },
    createdMs: parseTimestamp(textAt(object, 'metadata', 'creationTimestamp') ?? '') ?? 0,
    state: stateOf(object),
    pod:
      user === username && podName !== undefined && podUid !== undefined
        ? { name: podName, uid: podUid }
        : undefined,
  };
}

function stampOf(object: unknown, name: string): string | undefined {
  const [value] = listAt(object, 'spec', 'extra', `${extraPrefix}${name}`);
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function stateOf(object: unknown): RequestEntry['state'] {
  if ((textAt(object, 'status', 'certificate') ?? '') !== '') return 'issued';
  return hasCondition(object, 'Denied') || hasCondition(object, 'Failed') ? 'refused' : 'pending';
}

/** Whoever set it. Kubernetes takes no other status than True for these three. */
export function hasCondition(object: unknown, type: Verdict['type']): boolean {
  return listAt(object, 'status', 'conditions').some((one) => textAt(one, 'type') === type);
}

/** More of a list than this is wrong anyway, and need not be copied to say so. */
const itemsMax = 16;
/** Base64 of more bytes than a request may have: cut, it is still too long. */
const base64Max = 16_384;

/** What the judgement is about. */
export function readRequestFacts(object: unknown): RequestFacts {
  const seconds = valueAt(object, 'spec', 'expirationSeconds');
  const encoded = textAt(object, 'spec', 'request') ?? '';
  return {
    signerName: textAt(object, 'spec', 'signerName') ?? '',
    username: textAt(object, 'spec', 'username') ?? '',
    groups: textsOf(listAt(object, 'spec', 'groups')),
    extra: readExtra(valueAt(object, 'spec', 'extra')),
    usages: textsOf(listAt(object, 'spec', 'usages').slice(0, itemsMax)),
    expirationSeconds: seconds === undefined ? undefined : Number(seconds),
    requestPem: Buffer.from(encoded.slice(0, base64Max), 'base64').toString('latin1'),
  };
}

function readExtra(extra: unknown): ReadonlyMap<string, readonly string[]> {
  if (typeof extra !== 'object' || extra === null) return new Map();
  return new Map(
    Object.entries(extra).map(([key, values]) => [
      key,
      textsOf(Array.isArray(values) ? values : []),
    ]),
  );
}

function textsOf(values: readonly unknown[]): readonly string[] {
  return values.filter((value) => typeof value === 'string');
}

/** The body of a PUT to `/approval`, or of `Failed` to `/status`. */
export function withVerdict(object: unknown, verdict: Verdict): unknown {
  const { type, reason, message, nowMs } = verdict;
  const time = timestampOf(nowMs);
  const condition = {
    type,
    status: 'True',
    reason,
    message,
    lastUpdateTime: time,
    lastTransitionTime: time,
  };
  return withStatus(object, { conditions: [...listAt(object, 'status', 'conditions'), condition] });
}

/** The body of a PUT to `/status`. */
export function withCertificate(object: unknown, pem: string): unknown {
  return withStatus(object, { certificate: Buffer.from(pem, 'utf8').toString('base64') });
}

function withStatus(object: unknown, part: object): unknown {
  const own = (value: unknown): object =>
    typeof value === 'object' && value !== null ? value : {};
  return { ...own(object), status: { ...own(valueAt(object, 'status')), ...part } };
}
