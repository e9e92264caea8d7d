// One CertificateSigningRequest as a proxy writes it and reads it again (note 0008). Pure. What a
// request says of itself is believed only where the API server has stamped that this pod made it.
import { podUidKey, requestUsages, workloadSigner } from '../identity/control.ts';
import type { SpiffeId } from '../identity/index.ts';
import { listAt, textAt } from '../lib/raw-object.ts';

export const requestKind = {
  group: 'certificates.k8s.io',
  version: 'v1',
  plural: 'certificatesigningrequests',
} as const;

const expirationSeconds = 86_400;
const identityAnnotation = 'weft.dev/identity';

export type RequestFacts = {
  readonly name: string;
  /** Base64 of the PEM. */
  readonly request: string;
  readonly id: SpiffeId;
  readonly podUid: string;
  readonly nodeName: string;
};

/** What of a request and its status counts. */
export type SeenRequest = {
  readonly uid: string;
  /** Uid of the pod whose token made it, as stamped; empty: of none. */
  readonly madeBy: string;
  /** Whom it is for, if `madeBy` can be believed. */
  readonly identity: string;
  readonly answer: RequestAnswer | undefined;
};

export type RequestAnswer =
  | { readonly kind: 'issued'; readonly pem: string }
  | { readonly kind: 'refused'; readonly reason: string; readonly message: string };

export function requestManifest(facts: RequestFacts): unknown {
  const { name, request, id, podUid, nodeName } = facts;
  return {
    apiVersion: 'certificates.k8s.io/v1',
    kind: 'CertificateSigningRequest',
    metadata: {
      name,
      labels: {
        'app.kubernetes.io/name': 'weft',
        'app.kubernetes.io/component': 'identity',
        'weft.dev/proxy-pod': podUid,
      },
      annotations: { [identityAnnotation]: id, 'weft.dev/node': nodeName },
    },
    spec: { signerName: workloadSigner, usages: [...requestUsages], expirationSeconds, request },
  };
}

export function seenRequest(object: unknown): SeenRequest {
  const [madeBy] = listAt(object, 'spec', 'extra', podUidKey);
  return {
    uid: uidOf(object),
    madeBy: typeof madeBy === 'string' ? madeBy : '',
    identity: textAt(object, 'metadata', 'annotations', identityAnnotation) ?? '',
    answer: answerOf(object),
  };
}

export function uidOf(object: unknown): string {
  return textAt(object, 'metadata', 'uid') ?? '';
}

function answerOf(object: unknown): RequestAnswer | undefined {
  const certificate = textAt(object, 'status', 'certificate');
  const pem = Buffer.from(certificate ?? '', 'base64').toString('latin1');
  if (pem !== '') return { kind: 'issued', pem };
  for (const condition of listAt(object, 'status', 'conditions')) {
    const type = textAt(condition, 'type');
    if (type !== 'Denied' && type !== 'Failed') continue;
    const reason = textAt(condition, 'reason') ?? type;
    const message = (textAt(condition, 'message') ?? '').slice(0, 300);
    return { kind: 'refused', reason, message };
  }
  return undefined;
}
