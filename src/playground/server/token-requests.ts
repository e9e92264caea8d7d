// Tokens of ServiceAccounts, as a kubelet asks for them: POST serviceaccounts/NAME/token. What a
// token says – which account, which pod, which node – is read from the stored objects and never
// from the client, so that whatever the server stamps by it can be relied on. Tokens are opaque
// here, not JWTs: nobody but this server reads them.
import { serviceAccountUser } from './auth.ts';
import { timestamp, uuid, type ApiContext } from './context.ts';
import { at, nameOf, namespaceOf, numberAt, objectAt, textAt, type JsonObject } from './json.ts';
import { invalidValue } from './metadata.ts';
import { badRequest, conflict, invalid, notFound } from './status.ts';

const secondsDefault = 3600;
const secondsMin = 600;
const audience = 'https://kubernetes.default.svc.cluster.local';

/** The answer to a TokenRequest for `account`; the token in it is good from now on. */
export function answerTokenRequest(
  api: ApiContext,
  account: JsonObject,
  body: JsonObject,
): JsonObject {
  const spec = objectAt(body, 'spec');
  const seconds = numberAt(spec, 'expirationSeconds') ?? secondsDefault;
  checkSeconds(seconds);
  const pod = boundPod(api, account, spec);
  const token = uuid(api.runtime.random);
  const nowMs = api.runtime.clock.wallMs();
  const endMs = nowMs + seconds * 1000;
  api.tokens.add(token, requesterOf(api, account, pod, token), {
    endMs,
    isValid: () => isStillThere(api, account, 'serviceaccounts') && isStillThere(api, pod, 'pods'),
  });
  const { name = '', namespace = '', uid = '' } = objectAt(account, 'metadata');
  return {
    kind: 'TokenRequest',
    apiVersion: 'authentication.k8s.io/v1',
    metadata: { name, namespace, uid, creationTimestamp: timestamp(nowMs) },
    spec: {
      audiences: [audience],
      expirationSeconds: seconds,
      boundObjectRef: at(spec, 'boundObjectRef') ?? null,
    },
    status: { token, expirationTimestamp: timestamp(endMs) },
  };
}

function checkSeconds(seconds: number): void {
  if (seconds >= secondsMin) return;
  const why = 'may not specify a duration less than 10 minutes';
  const subject = { group: 'authentication.k8s.io', plural: 'tokenrequests', name: '' };
  throw invalid(subject, 'TokenRequest', [invalidValue('spec.expirationSeconds', seconds, why)]);
}

/** The pod that the token is to live with; absent when none is named. */
function boundPod(
  api: ApiContext,
  account: JsonObject,
  spec: JsonObject,
): JsonObject | undefined {
  const reference = at(spec, 'boundObjectRef') ?? null;
  if (reference === null) return undefined;
  const kind = textAt(reference, 'kind') ?? '';
  if (kind !== 'Pod') {
    const version = textAt(reference, 'apiVersion') ?? '';
    throw badRequest(`cannot bind token to object of type /${version}, Kind=${kind}`);
  }
  const name = textAt(reference, 'name') ?? '';
  const pod = api.storage.get('/pods', namespaceOf(account), name);
  if (pod === undefined) throw notFound({ group: '', plural: 'pods', name });
  const wanted = textAt(reference, 'uid') ?? '';
  if (wanted !== '' && wanted !== uidOf(pod)) {
    const why =
      `the UID in the bound object reference (${wanted}) does not match the UID in record. ` +
      'The object might have been deleted and then recreated';
    throw conflict({ group: '', plural: 'Pod', name }, why);
  }
  if (textAt(pod, 'spec', 'serviceAccountName') !== nameOf(account)) {
    throw badRequest(
      `cannot bind token for serviceaccount ${JSON.stringify(nameOf(account))} to pod running ` +
        'with different serviceaccount name.',
    );
  }
  return pod;
}

function requesterOf(
  api: ApiContext,
  account: JsonObject,
  pod: JsonObject | undefined,
  credentialId: string,
) {
  const nodeName = textAt(pod, 'spec', 'nodeName') ?? '';
  const node = api.storage.get('/nodes', '', nodeName);
  return serviceAccountUser(
    {
      namespace: namespaceOf(account),
      serviceAccount: nameOf(account),
      accountUid: uidOf(account),
      podName: pod === undefined ? '' : nameOf(pod),
      podUid: uidOf(pod),
      nodeName,
      nodeUid: uidOf(node),
    },
    credentialId,
  );
}

function uidOf(object: JsonObject | undefined): string {
  return textAt(object, 'metadata', 'uid') ?? '';
}

/** A token ends with the account and the pod that it was made for. */
function isStillThere(api: ApiContext, object: JsonObject | undefined, plural: string): boolean {
  if (object === undefined) return true;
  const stored = api.storage.get(`/${plural}`, namespaceOf(object), nameOf(object));
  return uidOf(stored) === uidOf(object);
}
