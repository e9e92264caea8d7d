// Printer columns of built-in kinds, those of kubectl get. Cells are worked out as
// k8s.io/kubernetes/pkg/printers/internalversion does, for what the playground's objects hold.
import { ageColumn, ageText } from './columns.ts';
import { eventSubject } from './events.ts';
import { at, listAt, numberAt, objectAt, textAt, type Json, type JsonObject } from './json.ts';
import type { Column } from './kinds.ts';

type Cell = (object: JsonObject, nowMs: number) => string | number;

function column(name: string, cell: Cell, type = 'string'): Column {
  return { name, type, description: name, format: '', priority: 0, cell };
}

function wide(name: string, cell: Cell): Column {
  return { ...column(name, cell), priority: 1 };
}

const none = '<none>';

function textCell(...path: readonly string[]): Cell {
  return (object) => textAt(object, ...path) ?? '';
}

function orNone(...path: readonly string[]): Cell {
  return (object) => textAt(object, ...path) ?? none;
}

function count(...path: readonly string[]): Cell {
  return (object) => numberAt(object, ...path) ?? 0;
}

function keysCount(field: string): Cell {
  return (object) => Object.keys(objectAt(object, field)).length;
}

function servicePorts(object: JsonObject): string {
  const listed = listAt(object, 'spec', 'ports').map((port) => {
    const nodePort = numberAt(port, 'nodePort');
    const middle = nodePort === undefined ? '' : `:${nodePort}`;
    return `${numberAt(port, 'port') ?? 0}${middle}/${textAt(port, 'protocol') ?? 'TCP'}`;
  });
  return listed.length === 0 ? none : listed.join(',');
}

function selectorText(...path: readonly string[]): Cell {
  return (object) => {
    const pairs = Object.entries(objectAt(object, ...path)).map(
      ([key, value]) => `${key}=${String(value)}`,
    );
    return pairs.length === 0 ? none : pairs.join(',');
  };
}

function externalAddress(object: JsonObject): string {
  const type = textAt(object, 'spec', 'type');
  if (type === 'ExternalName') return textAt(object, 'spec', 'externalName') ?? none;
  return type === 'LoadBalancer' ? '<pending>' : none;
}

function podStatus(object: JsonObject): string {
  if (textAt(object, 'metadata', 'deletionTimestamp') !== undefined) return 'Terminating';
  return textAt(object, 'status', 'reason') ?? textAt(object, 'status', 'phase') ?? 'Unknown';
}

function readyContainers(object: JsonObject): string {
  const statuses = listAt(object, 'status', 'containerStatuses');
  const ready = statuses.filter((status) => at(status, 'ready') === true).length;
  return `${ready}/${listAt(object, 'spec', 'containers').length}`;
}

function restarts(object: JsonObject): number {
  return listAt(object, 'status', 'containerStatuses').reduce<number>(
    (sum, status) => sum + (numberAt(status, 'restartCount') ?? 0),
    0,
  );
}

function readyOf(object: JsonObject): string {
  const ready = numberAt(object, 'status', 'readyReplicas') ?? 0;
  return `${ready}/${numberAt(object, 'spec', 'replicas') ?? 1}`;
}

/** Up to three, then how many more, as kubectl shortens lists. */
function shortened(items: readonly string[]): string {
  if (items.length === 0) return '<unset>';
  if (items.length <= 3) return items.join(',');
  return `${items.slice(0, 3).join(',')} + ${items.length - 3} more...`;
}

function slicePorts(object: JsonObject): string {
  return shortened(listAt(object, 'ports').map((port) => String(numberAt(port, 'port') ?? '*')));
}

function sliceAddresses(object: JsonObject): string {
  const addresses = listAt(object, 'endpoints').flatMap((endpoint) =>
    listAt(endpoint, 'addresses').map(String),
  );
  return shortened(addresses);
}

function nodeStatus(object: JsonObject): string {
  const ready = conditionStatus(object, 'Ready');
  return ready === 'True' ? 'Ready' : ready === '' ? 'Unknown' : 'NotReady';
}

function conditionStatus(object: JsonObject, type: string): string {
  const found = listAt(object, 'status', 'conditions').find((one) => textAt(one, 'type') === type);
  return textAt(found, 'status') ?? '';
}

function internalAddress(object: JsonObject): string {
  const found = listAt(object, 'status', 'addresses').find(
    (one) => textAt(one, 'type') === 'InternalIP',
  );
  return textAt(found, 'address') ?? none;
}

function requestCondition(object: JsonObject): string {
  const types = listAt(object, 'status', 'conditions').map((one) => textAt(one, 'type') ?? '');
  if (textAt(object, 'status', 'certificate') !== undefined) types.push('Issued');
  return types.length === 0 ? 'Pending' : types.join(',');
}

function lastSeen(object: JsonObject, nowMs: number): string {
  const seen = textAt(object, 'lastTimestamp') ?? textAt(object, 'eventTime') ?? undefined;
  return ageText(seen ?? textAt(object, 'metadata', 'creationTimestamp'), nowMs);
}

function images(object: JsonObject): Json[] {
  return listAt(object, 'spec', 'template', 'spec', 'containers').map(
    (one) => textAt(one, 'image') ?? '',
  );
}

function containerNames(object: JsonObject): string {
  const listed = listAt(object, 'spec', 'template', 'spec', 'containers');
  return listed.map((one) => textAt(one, 'name') ?? '').join(',');
}

function jobStatus(object: JsonObject): string {
  if (conditionStatus(object, 'Complete') === 'True') return 'Complete';
  return conditionStatus(object, 'Failed') === 'True' ? 'Failed' : 'Running';
}

function completions(object: JsonObject): string {
  const succeeded = numberAt(object, 'status', 'succeeded') ?? 0;
  return `${succeeded}/${numberAt(object, 'spec', 'completions') ?? '1'}`;
}

const workloadColumns: readonly Column[] = [
  column('Ready', readyOf),
  column('Up-to-date', count('status', 'updatedReplicas'), 'integer'),
  column('Available', count('status', 'availableReplicas'), 'integer'),
  ageColumn,
  wide('Images', (object) => images(object).join(',')),
  wide('Selector', selectorText('spec', 'selector', 'matchLabels')),
];

/** By collection; a kind that is not here shows its name and age. */
export const builtInColumns: ReadonlyMap<string, readonly Column[]> = new Map([
  [
    '/namespaces',
    [
      column('Status', (object) =>
        textAt(object, 'metadata', 'deletionTimestamp') === undefined ? 'Active' : 'Terminating',
      ),
      ageColumn,
    ],
  ],
  [
    '/services',
    [
      column('Type', textCell('spec', 'type')),
      column('Cluster-IP', orNone('spec', 'clusterIP')),
      column('External-IP', externalAddress),
      column('Port(s)', servicePorts),
      ageColumn,
      wide('Selector', selectorText('spec', 'selector')),
    ],
  ],
  [
    '/pods',
    [
      column('Ready', readyContainers),
      column('Status', podStatus),
      column('Restarts', restarts),
      ageColumn,
      wide('IP', orNone('status', 'podIP')),
      wide('Node', orNone('spec', 'nodeName')),
      wide('Nominated Node', orNone('status', 'nominatedNodeName')),
      wide('Readiness Gates', () => none),
    ],
  ],
  [
    '/nodes',
    [
      column('Status', nodeStatus),
      column('Roles', () => none),
      ageColumn,
      column('Version', textCell('status', 'nodeInfo', 'kubeletVersion')),
      wide('Internal-IP', internalAddress),
    ],
  ],
  [
    '/serviceaccounts',
    [column('Secrets', (object) => listAt(object, 'secrets').length, 'integer'), ageColumn],
  ],
  ['/configmaps', [column('Data', keysCount('data'), 'integer'), ageColumn]],
  [
    '/secrets',
    [column('Type', textCell('type')), column('Data', keysCount('data'), 'integer'), ageColumn],
  ],
  ['/events', eventColumns()],
  ['apps/deployments', workloadColumns],
  [
    'apps/replicasets',
    [
      column('Desired', count('spec', 'replicas'), 'integer'),
      column('Current', count('status', 'replicas'), 'integer'),
      column('Ready', count('status', 'readyReplicas'), 'integer'),
      ageColumn,
    ],
  ],
  [
    'apps/daemonsets',
    [
      column('Desired', count('status', 'desiredNumberScheduled'), 'integer'),
      column('Current', count('status', 'currentNumberScheduled'), 'integer'),
      column('Ready', count('status', 'numberReady'), 'integer'),
      column('Up-to-date', count('status', 'updatedNumberScheduled'), 'integer'),
      column('Available', count('status', 'numberAvailable'), 'integer'),
      column('Node Selector', selectorText('spec', 'template', 'spec', 'nodeSelector')),
      ageColumn,
      wide('Containers', containerNames),
      wide('Images', (object) => images(object).join(',')),
      wide('Selector', selectorText('spec', 'selector', 'matchLabels')),
    ],
  ],
  ['apps/statefulsets', [column('Ready', readyOf), ageColumn]],
  [
    'batch/jobs',
    [
      column('Status', jobStatus),
      column('Completions', completions),
      column('Duration', () => ''),
      ageColumn,
      wide('Containers', containerNames),
      wide('Images', (object) => images(object).join(',')),
      wide('Selector', selectorText('spec', 'selector', 'matchLabels')),
    ],
  ],
  [
    'discovery.k8s.io/endpointslices',
    [
      column('AddressType', textCell('addressType')),
      column('Ports', slicePorts),
      column('Endpoints', sliceAddresses),
      ageColumn,
    ],
  ],
  ['coordination.k8s.io/leases', [column('Holder', textCell('spec', 'holderIdentity')), ageColumn]],
  [
    'certificates.k8s.io/certificatesigningrequests',
    [
      ageColumn,
      column('SignerName', textCell('spec', 'signerName')),
      column('Requestor', textCell('spec', 'username')),
      column('RequestedDuration', () => none),
      column('Condition', requestCondition),
    ],
  ],
  [
    'apiextensions.k8s.io/customresourcedefinitions',
    [column('Created At', textCell('metadata', 'creationTimestamp'), 'date')],
  ],
]);

function eventColumns(): readonly Column[] {
  return [
    column('Last Seen', lastSeen),
    column('Type', textCell('type')),
    column('Reason', textCell('reason')),
    column('Object', eventSubject),
    column('Message', textCell('message')),
    wide('Name', textCell('metadata', 'name')),
  ];
}
