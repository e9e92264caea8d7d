// What the server decides or refuses for built-in kinds beyond their schema, kind by kind. Only
// what the mesh, kubectl or the simulator meets; the rest of a kind's validation is left out.
import { isIPv4, isIPv6 } from 'node:net';
import {
  nameOf,
  isObject,
  listAt,
  numberAt,
  objectAt,
  sameJson,
  textAt,
  type Json,
  type JsonObject,
} from './json.ts';
import type { KindRules, WriteContext } from './kinds.ts';
import { definitionRules } from './crds.ts';
import { jobRules } from './jobs.ts';
import { invalidValue, required } from './metadata.ts';
import { serviceRules } from './services.ts';
import { signingRequestRules } from './signing-requests.ts';
import type { Cause } from './status.ts';
import type { Storage } from './storage.ts';

const namespaceRules: KindRules = {
  prepareCreate: (object) => {
    object.spec = { finalizers: ['kubernetes'] };
    object.status = { phase: 'Active' };
    labelOwnName(object);
  },
  prepareUpdate: (object) => labelOwnName(object),
};

function labelOwnName(object: JsonObject): void {
  const metadata = objectAt(object, 'metadata');
  metadata.labels = {
    ...objectAt(metadata, 'labels'),
    'kubernetes.io/metadata.name': nameOf(object),
  };
}

const podDefaults: JsonObject = {
  restartPolicy: 'Always',
  terminationGracePeriodSeconds: 30,
  dnsPolicy: 'ClusterFirst',
  schedulerName: 'default-scheduler',
  enableServiceLinks: true,
};

/** Fields of a pod that may change once it is there. */
const mutablePodFields = ['activeDeadlineSeconds', 'tolerations', 'terminationGracePeriodSeconds'];

function fixedPodSpec(object: JsonObject): JsonObject {
  const spec = { ...objectAt(object, 'spec') };
  for (const field of [...mutablePodFields, 'nodeName']) delete spec[field];
  spec.containers = listAt(spec, 'containers').map((item) => {
    const container = isObject(item) ? { ...item } : {};
    delete container.image;
    return container;
  });
  return spec;
}

const podRules: KindRules = {
  prepareCreate: (object) => {
    const spec = objectAt(object, 'spec');
    object.spec = { ...podDefaults, ...spec };
    const account =
      textAt(spec, 'serviceAccountName') ?? textAt(spec, 'serviceAccount') ?? 'default';
    Object.assign(object.spec, { serviceAccountName: account, serviceAccount: account });
    object.spec.securityContext ??= {};
    object.status = { phase: 'Pending', qosClass: 'BestEffort' };
  },
  validate: (object, previous) => {
    const causes: Cause[] = [];
    if (listAt(object, 'spec', 'containers').length === 0) causes.push(required('spec.containers'));
    if (previous !== undefined && !sameJson(fixedPodSpec(object), fixedPodSpec(previous))) {
      causes.push({
        reason: 'FieldValueForbidden',
        message:
          'Forbidden: pod updates may not change fields other than `spec.containers[*].image`,' +
          '`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only ' +
          'additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to ' +
          'be ' +
          'set to 1 if it was previously negative)',
        field: 'spec',
      });
    }
    return causes;
  },
};

/** Slices: addresses must be of the slice's family. Loopback is accepted here (named deviation). */
function sliceCauses(object: JsonObject, previous: JsonObject | undefined): readonly Cause[] {
  const type = textAt(object, 'addressType') ?? '';
  const causes: Cause[] = [];
  if (!['IPv4', 'IPv6', 'FQDN'].includes(type)) {
    causes.push(required('addressType'));
  }
  if (previous !== undefined && textAt(previous, 'addressType') !== type) {
    causes.push(invalidValue('addressType', type, 'field is immutable'));
  }
  for (const [index, endpoint] of listAt(object, 'endpoints').entries()) {
    const field = `endpoints[${index}].addresses`;
    const addresses = listAt(endpoint, 'addresses');
    if (addresses.length === 0) causes.push(required(field, 'must contain at least 1 address'));
    for (const [place, address] of addresses.entries()) {
      causes.push(...addressCauses(`${field}[${place}]`, type, address));
    }
  }
  return causes;
}

function addressCauses(field: string, type: string, address: Json): readonly Cause[] {
  const text = typeof address === 'string' ? address : '';
  if (type === 'IPv4' && !isIPv4(text)) {
    return [invalidValue(field, text, 'must be a valid IPv4 address')];
  }
  if (type === 'IPv6' && !isIPv6(text)) {
    return [invalidValue(field, text, 'must be a valid IPv6 address')];
  }
  return [];
}

const sliceRules: KindRules = {
  prepareCreate: (object) => {
    object.endpoints ??= [];
    object.ports ??= [];
    for (const port of listAt(object, 'ports')) {
      if (!isObject(port)) continue;
      port.name ??= '';
      port.protocol ??= 'TCP';
    }
  },
  prepareUpdate: (object) => {
    object.endpoints ??= [];
    object.ports ??= [];
  },
  validate: sliceCauses,
};

function selectorCauses(object: JsonObject, previous: JsonObject | undefined): readonly Cause[] {
  const selector = objectAt(object, 'spec', 'selector');
  const labels = objectAt(object, 'spec', 'template', 'metadata', 'labels');
  const wanted = objectAt(selector, 'matchLabels');
  if (Object.keys(selector).length === 0) return [required('spec.selector')];
  if (previous !== undefined && !sameJson(objectAt(previous, 'spec', 'selector'), selector)) {
    return [invalidValue('spec.selector', selector, 'field is immutable')];
  }
  const isSelected = Object.entries(wanted).every(([key, value]) => labels[key] === value);
  if (isSelected) return [];
  return [
    invalidValue(
      'spec.template.metadata.labels',
      labels,
      '`selector` does not match template `labels`',
    ),
  ];
}

const replicatedRules: KindRules = {
  prepareCreate: (object) => {
    const spec = objectAt(object, 'spec');
    spec.replicas ??= 1;
    object.spec = spec;
    object.status ??= {};
  },
  prepareUpdate: (object) => {
    objectAt(object, 'spec').replicas ??= 1;
  },
  validate: (object, previous) => {
    const causes = [...selectorCauses(object, previous)];
    const replicas = numberAt(object, 'spec', 'replicas') ?? 1;
    if (replicas < 0) {
      causes.push(invalidValue('spec.replicas', replicas, 'must be greater than or equal to 0'));
    }
    return causes;
  },
};

const dataKey = /^[-._a-zA-Z0-9]+$/;
const dataKeyText =
  "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. " +
  "'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";

function dataKeyCauses(object: JsonObject): readonly Cause[] {
  return Object.keys(objectAt(object, 'data'))
    .filter((key) => !dataKey.test(key))
    .map((key) => invalidValue(`data[${key}]`, key, dataKeyText));
}

/** ConfigMaps and Secrets that say so are never changed again. */
function contentCauses(object: JsonObject, previous: JsonObject | undefined): readonly Cause[] {
  const causes = [...dataKeyCauses(object)];
  if (previous?.immutable !== true) return causes;
  for (const field of ['immutable', 'data', 'binaryData']) {
    if (sameJson(object[field], previous[field])) continue;
    const message = 'Forbidden: field is immutable when `immutable` is set';
    causes.push({ reason: 'FieldValueForbidden', message, field });
  }
  return causes;
}

const configMapRules: KindRules = { validate: contentCauses };

const secretRules: KindRules = {
  validate: contentCauses,
  prepareCreate: (object) => {
    object.type ??= 'Opaque';
    const written = objectAt(object, 'stringData');
    const data = { ...objectAt(object, 'data') };
    for (const [key, value] of Object.entries(written)) {
      if (typeof value === 'string') data[key] = Buffer.from(value).toString('base64');
    }
    if (Object.keys(data).length > 0) object.data = data;
    delete object.stringData;
  },
  prepareUpdate: (object) => secretRules.prepareCreate?.(object, noContext),
};

const noContext: WriteContext = {
  user: { username: '', uid: '', groups: [], extra: {} },
  nowMs: 0,
  subresource: '',
  isDryRun: false,
};

/** By collection. */
export function builtInRules(storage: Storage): ReadonlyMap<string, KindRules> {
  return new Map<string, KindRules>([
    ['/namespaces', namespaceRules],
    ['/services', serviceRules(storage)],
    ['/pods', podRules],
    ['/secrets', secretRules],
    ['/configmaps', configMapRules],
    ['discovery.k8s.io/endpointslices', sliceRules],
    ['certificates.k8s.io/certificatesigningrequests', signingRequestRules],
    ['apps/deployments', replicatedRules],
    ['apps/replicasets', replicatedRules],
    ['apps/statefulsets', replicatedRules],
    ['batch/jobs', jobRules],
    ['apiextensions.k8s.io/customresourcedefinitions', definitionRules],
  ]);
}
