// The canonical encoding of a section: JSON whose keys stand in one fixed order, so that equal
// sections are equal bytes on every node (A3). The order comes from the list below, not from how an
// object literal happened to be written: `JSON.stringify` with a list of keys emits exactly these,
// in this order, at every depth. A key that is not in the list never leaves the process, which is
// also why nothing unforeseen can travel in a snapshot (A4).
import { assert, assertNever } from '../lib/assert.ts';
import type { Section, SectionId } from './sections.ts';

/** Every key of every section type, sorted; a test compares it with what the types can hold. */
export const sectionKeys: readonly string[] = [
  'address',
  'addresses',
  'aliases',
  'backend',
  'backends',
  'clusterDomain',
  'connectTimeoutMs',
  'defaultPolicy',
  'endpoints',
  'headers',
  'hostnames',
  'http',
  'idleTimeoutMs',
  'isStopped',
  'kind',
  'listeners',
  'matches',
  'maxRequestBodyBytes',
  'meshDomains',
  'methods',
  'name',
  'namespace',
  'namespaces',
  'nodeName',
  'pathRegex',
  'pattern',
  'perTryTimeoutMs',
  'permissions',
  'podName',
  'policy',
  'port',
  'ports',
  'protocol',
  'retryAttempts',
  'retryBudgetPercent',
  'retryOn',
  'routes',
  'rules',
  'scheme',
  'service',
  'serviceAccount',
  'servicePort',
  'sources',
  'target',
  'targetPort',
  'tcp',
  'timeoutMs',
  'udp',
  'upstreamHost',
  'weight',
];

const keyOrder = [...sectionKeys];

/** The bytes that stand for `section`; absent (`undefined`) settings leave no trace. */
export function canonicalText(section: Section): string {
  return JSON.stringify(section, keyOrder);
}

/**
 * The name that a section keeps as long as what it describes exists. A service section without
 * hostnames stands for a host alias, which is unique in the mesh (smi R-31).
 */
export function sectionId(section: Section): SectionId {
  return sectionName(section) as SectionId;
}

function sectionName(section: Section): string {
  switch (section.kind) {
    case 'mesh':
    case 'namespaces':
      return section.kind;
    case 'service': {
      if (section.hostnames.length > 0) return `service/${section.namespace}/${section.name}`;
      const alias = section.aliases[0];
      assert(alias !== undefined, 'a service section without any name');
      return `alias/${alias}`;
    }
    case 'endpoints':
      return `endpoints/${section.namespace}/${section.service}`;
    case 'permissions':
      return `permissions/${section.namespace}/${section.serviceAccount}`;
    default:
      return assertNever(section);
  }
}
