// Field numbers of the kinds that are read from protobuf bodies, as far as kubectl's typed commands
// write them; they are those of the kinds' generated.proto in k8s.io/api and k8s.io/apimachinery.
// A number that is missing here makes a body that uses it unreadable (protobuf.ts).

/** How the value of a field is written. */
export type FieldForm =
  | { readonly kind: 'text' | 'base64' | 'int-or-text' }
  /** Optional ones are pointers in Go, whose zero says something: `replicas: 0`. */
  | { readonly kind: 'number' | 'flag'; readonly isOptional: boolean }
  | { readonly kind: 'message'; readonly fields: Message }
  | { readonly kind: 'texts' }
  | { readonly kind: 'messages'; readonly fields: Message }
  /** map<string, string> or map<string, bytes>. */
  | { readonly kind: 'map'; readonly of: 'text' | 'base64' };

/** Fields by number. */
export type Message = ReadonlyMap<number, { readonly name: string; readonly form: FieldForm }>;

export const text: FieldForm = { kind: 'text' };
const texts: FieldForm = { kind: 'texts' };
const number: FieldForm = { kind: 'number', isOptional: true };
const flag: FieldForm = { kind: 'flag', isOptional: true };
const plainNumber: FieldForm = { kind: 'number', isOptional: false };
const plainFlag: FieldForm = { kind: 'flag', isOptional: false };
const intOrText: FieldForm = { kind: 'int-or-text' };
const mapOfText: FieldForm = { kind: 'map', of: 'text' };

/** A message by number, name and form of its fields. */
export function message(fields: Readonly<Record<number, readonly [string, FieldForm]>>): Message {
  return new Map(
    Object.entries(fields).map(([id, [name, form]]) => [Number(id), { name, form }] as const),
  );
}

/** A field that is a message itself. */
export function inner(fields: Message): FieldForm {
  return { kind: 'message', fields };
}

function many(fields: Message): FieldForm {
  return { kind: 'messages', fields };
}

const objectMeta = inner(
  message({
    1: ['name', text],
    2: ['generateName', text],
    3: ['namespace', text],
    5: ['uid', text],
    6: ['resourceVersion', text],
    11: ['labels', mapOfText],
    12: ['annotations', mapOfText],
    14: ['finalizers', texts],
  }),
);

const resourceAttributes = message({
  1: ['namespace', text],
  2: ['verb', text],
  3: ['group', text],
  4: ['version', text],
  5: ['resource', text],
  6: ['subresource', text],
  7: ['name', text],
});

const reviewSpec = message({
  1: ['resourceAttributes', inner(resourceAttributes)],
  2: ['nonResourceAttributes', inner(message({ 1: ['path', text], 2: ['verb', text] }))],
});

const containerPort = message({
  1: ['name', text],
  2: ['hostPort', plainNumber],
  3: ['containerPort', plainNumber],
  4: ['protocol', text],
  5: ['hostIP', text],
});

const container = message({
  1: ['name', text],
  2: ['image', text],
  3: ['command', texts],
  4: ['args', texts],
  5: ['workingDir', text],
  6: ['ports', many(containerPort)],
  7: ['env', many(message({ 1: ['name', text], 2: ['value', text] }))],
  // Its limits and requests are maps of quantities, which no `kubectl create` writes.
  8: ['resources', inner(message({}))],
  13: ['terminationMessagePath', text],
  14: ['imagePullPolicy', text],
  20: ['terminationMessagePolicy', text],
});

const podSpec = message({
  2: ['containers', many(container)],
  3: ['restartPolicy', text],
  4: ['terminationGracePeriodSeconds', number],
  5: ['activeDeadlineSeconds', number],
  6: ['dnsPolicy', text],
  7: ['nodeSelector', mapOfText],
  8: ['serviceAccountName', text],
  9: ['serviceAccount', text],
  10: ['nodeName', text],
  11: ['hostNetwork', plainFlag],
  20: ['initContainers', many(container)],
});

const podTemplate = inner(message({ 1: ['metadata', objectMeta], 2: ['spec', inner(podSpec)] }));

const requirement = message({ 1: ['key', text], 2: ['operator', text], 3: ['values', texts] });

const labelSelector = inner(
  message({ 1: ['matchLabels', mapOfText], 2: ['matchExpressions', many(requirement)] }),
);

const rollingUpdate = message({ 1: ['maxUnavailable', intOrText], 2: ['maxSurge', intOrText] });

const deploymentSpec = message({
  1: ['replicas', number],
  2: ['selector', labelSelector],
  3: ['template', podTemplate],
  4: [
    'strategy',
    inner(message({ 1: ['type', text], 2: ['rollingUpdate', inner(rollingUpdate)] })),
  ],
  5: ['minReadySeconds', plainNumber],
  6: ['revisionHistoryLimit', number],
  7: ['paused', plainFlag],
  9: ['progressDeadlineSeconds', number],
});

const jobSpec = message({
  1: ['parallelism', number],
  2: ['completions', number],
  3: ['activeDeadlineSeconds', number],
  4: ['selector', labelSelector],
  5: ['manualSelector', flag],
  6: ['template', podTemplate],
  7: ['backoffLimit', number],
  8: ['ttlSecondsAfterFinished', number],
  9: ['completionMode', text],
  10: ['suspend', flag],
});

const servicePort = message({
  1: ['name', text],
  2: ['protocol', text],
  3: ['port', plainNumber],
  4: ['targetPort', intOrText],
  5: ['nodePort', plainNumber],
  6: ['appProtocol', text],
});

const serviceSpec = message({
  1: ['ports', many(servicePort)],
  2: ['selector', mapOfText],
  3: ['clusterIP', text],
  4: ['type', text],
  5: ['externalIPs', texts],
  7: ['sessionAffinity', text],
  8: ['loadBalancerIP', text],
  9: ['loadBalancerSourceRanges', texts],
  10: ['externalName', text],
  11: ['externalTrafficPolicy', text],
  12: ['healthCheckNodePort', plainNumber],
  13: ['publishNotReadyAddresses', plainFlag],
  17: ['ipFamilyPolicy', text],
  18: ['clusterIPs', texts],
  19: ['ipFamilies', texts],
  20: ['allocateLoadBalancerNodePorts', flag],
  21: ['loadBalancerClass', text],
  22: ['internalTrafficPolicy', text],
  23: ['trafficDistribution', text],
});

function specified(spec: Message): Message {
  return message({ 1: ['metadata', objectMeta], 2: ['spec', inner(spec)] });
}

const boundObjectReference = message({
  1: ['kind', text],
  2: ['apiVersion', text],
  3: ['name', text],
  4: ['uid', text],
});

const tokenRequestSpec = message({
  1: ['audiences', texts],
  3: ['boundObjectRef', inner(boundObjectReference)],
  4: ['expirationSeconds', number],
});

/** By kind; no two kinds that are read share a name. */
export const protobufKinds: ReadonlyMap<string, Message> = new Map([
  ['Namespace', message({ 1: ['metadata', objectMeta] })],
  [
    'ServiceAccount',
    message({ 1: ['metadata', objectMeta], 4: ['automountServiceAccountToken', flag] }),
  ],
  [
    'ConfigMap',
    message({
      1: ['metadata', objectMeta],
      2: ['data', mapOfText],
      3: ['binaryData', { kind: 'map', of: 'base64' }],
      4: ['immutable', flag],
    }),
  ],
  [
    'Secret',
    message({
      1: ['metadata', objectMeta],
      2: ['data', { kind: 'map', of: 'base64' }],
      3: ['type', text],
      4: ['stringData', mapOfText],
      5: ['immutable', flag],
    }),
  ],
  ['Service', specified(serviceSpec)],
  ['Deployment', specified(deploymentSpec)],
  ['Job', specified(jobSpec)],
  ['TokenRequest', specified(tokenRequestSpec)],
  ['Scale', specified(message({ 1: ['replicas', number] }))],
  ['SelfSubjectAccessReview', specified(reviewSpec)],
  ['SelfSubjectReview', message({ 1: ['metadata', objectMeta] })],
  [
    'DeleteOptions',
    message({
      1: ['gracePeriodSeconds', number],
      2: ['preconditions', inner(message({ 1: ['uid', text], 2: ['resourceVersion', text] }))],
      3: ['orphanDependents', flag],
      4: ['propagationPolicy', text],
      5: ['dryRun', texts],
    }),
  ],
]);
