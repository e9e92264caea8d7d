// Decision lines of golden cases: one request in words → what the core does with it, in words. All
// backends of the split are looked at, so that a line states the shares, and every endpoint of a
// backend is authorised, so that pods that differ show.
//
//   GET http://web.shop.mesh/x as shop/front with cookie: a=b; cookie: c
//   TCP shop/db:5432 as unknown · UDP net/dns:53 as shop/front
//   endpoints shop/web:80
//   listeners · names · upstream-host shop/web
import {
  authorise,
  authoriseFlow,
  decide,
  decideFlow,
  pickBackend,
  type Backend,
  type Decision,
  type Endpoint,
  type RequestHead,
  type RouteTable,
  type Source,
  type Split,
  type Verdict,
} from '../../src/route/index.ts';
import {
  endpointId,
  type BackendId,
  type Section,
  type Snapshot,
} from '../../src/snapshot/index.ts';

export type Core = { readonly snapshot: Snapshot; readonly table: RouteTable };

/** What the core answers to the question of one line. */
export function answerOf(core: Core, question: string): string {
  if (question.startsWith('endpoints ')) return endpointsAnswer(core, question.slice(10));
  if (question === 'listeners') return listenersAnswer(core);
  if (question === 'names') return namesAnswer(core);
  if (question.startsWith('upstream-host ')) return upstreamHostAnswer(core, question.slice(14));
  if (/^(?:TCP|UDP) /.test(question)) return flowAnswer(core, question);
  return httpAnswer(core, question);
}

const httpLine = /^(\S+) http:\/\/([^/\s:]+)(?::(\d+))?(\/\S*)? as (\S+)(?: with (.*))?$/;

function httpAnswer({ table }: Core, question: string): string {
  const found = httpLine.exec(question);
  if (found === null) throw new Error(`no request: ${question}`);
  const [, method = '', host = '', port = '80', target = '/', caller = '', fields = ''] = found;
  const head: RequestHead = {
    servicePort: Number(port),
    hostname: host.toLowerCase().replace(/\.$/, ''),
    method,
    path: target.split('?')[0] ?? '',
    fieldValues: (name) => fieldValues(fields, name),
  };
  const source = sourceNamed(caller);
  const judge = (endpoint: Endpoint): Verdict => authorise(table, source, endpoint, head);
  return decisionText(decide(table, head), judge);
}

function fieldValues(fields: string, name: string): readonly string[] {
  return fields
    .split('; ')
    .map((field) => /^([^:]+): ?(.*)$/.exec(field))
    .flatMap((found) => (found?.[1]?.toLowerCase() === name ? [found[2] ?? ''] : []));
}

function sourceNamed(caller: string): Source {
  const [namespace = '', serviceAccount = ''] = caller.split('/');
  if (serviceAccount === '') return { kind: 'unauthenticated' };
  const principal = caller;
  const workload = `Deployment/${serviceAccount}`;
  const podName = `${serviceAccount}-1`;
  return { kind: 'workload', namespace, serviceAccount, principal, workload, podName };
}

const statusOf: ReadonlyMap<string, number> = new Map([
  ['UnknownService', 404],
  ['SourceNotAllowed', 403],
  ['RouteNotAllowed', 403],
  ['SourceUnknown', 403],
]);

function refusal(reason: string): string {
  return `${statusOf.get(reason) ?? 503} ${reason}`;
}

function decisionText(decision: Decision, judge: (endpoint: Endpoint) => Verdict): string {
  if (decision.kind === 'refuse') return refusal(decision.reason);
  const shares = new Map<string, number>();
  for (const [backend, share] of sharesOf(decision.split)) {
    for (const [text, part] of backendTexts(backend, judge)) {
      shares.set(text, (shares.get(text) ?? 0) + share * part);
    }
  }
  return [...shares].map(([text, share]) => `${text} ${percent(share)}`).join(', ');
}

/** The share of each backend in one whole window of picks, in the order of the split. */
function sharesOf(split: Split): ReadonlyMap<Backend, number> {
  const window = Math.min(split.totalWeight, 10_000);
  const counts = new Map<Backend, number>();
  for (const { backend, weight } of split.backends) if (weight > 0) counts.set(backend, 0);
  for (let turn = 0; turn < window; turn += 1) {
    const backend = pickBackend(split, turn);
    counts.set(backend, (counts.get(backend) ?? 0) + 1);
  }
  for (const [backend, count] of counts) counts.set(backend, count / window);
  return counts;
}

function backendTexts(
  backend: Backend,
  judge: (endpoint: Endpoint) => Verdict,
): readonly (readonly [string, number])[] {
  const { endpoints } = backend;
  if (endpoints.length === 0) return [[`${backend.id} ${refusal('NoEndpoints')}`, 1]];
  return endpoints.map((endpoint) => [
    verdictText(backend.id, judge(endpoint)),
    1 / endpoints.length,
  ]);
}

function verdictText(backend: BackendId, verdict: Verdict): string {
  switch (verdict.kind) {
    case 'allow':
      return `forward ${backend}`;
    case 'audit':
      return `forward ${backend} (audit ${verdict.reason})`;
    case 'deny':
      return `${backend} ${refusal(verdict.reason)}`;
  }
}

function percent(share: number): string {
  return `${Number((share * 100).toFixed(1))}%`;
}

/** Raw TCP or UDP: the split of the port without HTTP matches, and the permissions for it. */
function flowAnswer(core: Core, question: string): string {
  const found = /^(?:TCP|UDP) ([^/]+)\/([^:]+):(\d+) as (\S+)$/.exec(question);
  if (found === null) throw new Error(`no flow: ${question}`);
  const [, namespace = '', name = '', port = '', caller = ''] = found;
  const protocol = question.startsWith('UDP ') ? 'udp' : 'tcp';
  const { table } = core;
  const source = sourceNamed(caller);
  const to = { protocol, namespace, service: name, servicePort: Number(port) } as const;
  return decisionText(decideFlow(table, to), (endpoint) =>
    authoriseFlow(table, source, endpoint, protocol),
  );
}

function sectionNamed(snapshot: Snapshot, id: string): Section | undefined {
  for (const record of snapshot.sections.values()) if (record.id === id) return record.section;
  return undefined;
}

function backendNamed({ snapshot }: Core, id: BackendId): Backend {
  const named = /^([^/]+)\/([^:]+):(\d+)(\/udp)?$/.exec(id) ?? [];
  const [, namespace = '', service = '', port = '', suffix] = named;
  const transport = suffix === undefined ? undefined : 'udp';
  const section = sectionNamed(snapshot, `endpoints/${namespace}/${service}`);
  const found =
    section?.kind === 'endpoints'
      ? section.backends.find((one) => one.port === Number(port) && one.transport === transport)
      : undefined;
  const endpoints = (found?.endpoints ?? []).map((spec) => ({
    ...spec,
    namespace,
    id: endpointId(spec.address, spec.port, transport),
  }));
  return { id, namespace, service, port: Number(port), scheme: found?.scheme ?? 'http', endpoints };
}

function endpointsAnswer(core: Core, backend: string): string {
  const { endpoints } = backendNamed(core, backend as BackendId);
  if (endpoints.length === 0) return 'none';
  return endpoints
    .map(({ id, podName, nodeName }) => (podName === '' ? id : `${id} ${podName} on ${nodeName}`))
    .join(', ');
}

function listenersAnswer({ snapshot }: Core): string {
  const mesh = sectionNamed(snapshot, 'mesh');
  if (mesh?.kind !== 'mesh' || mesh.listeners.length === 0) return 'none';
  return mesh.listeners
    .map((listener) => {
      const { protocol, servicePort, targetPort } = listener;
      const ports = `${servicePort}>${targetPort}`;
      if (protocol === 'http') return ports;
      return `${protocol} ${listener.namespace}/${listener.service} ${ports}`;
    })
    .join(', ');
}

/** Every hostname of the mesh, aliases too. */
function namesAnswer({ snapshot }: Core): string {
  const names: string[] = [];
  for (const { section } of snapshot.sections.values()) {
    if (section.kind === 'service') names.push(...section.hostnames, ...section.aliases);
  }
  return names.sort().join(', ');
}

function upstreamHostAnswer({ snapshot }: Core, service: string): string {
  const section = sectionNamed(snapshot, `service/${service}`);
  if (section?.kind !== 'service') return 'none';
  return section.rules.upstreamHost ?? 'as the client sent it';
}
