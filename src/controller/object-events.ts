// Events on users' objects: one for each object and reason, whose message is what is wrong now and
// whose count says how often that has changed (events of core/v1, the form that `kubectl describe`
// has always shown). Its name is a hash of what it is about, so that a controller that starts anew
// finds what its predecessor has told. Pure.
import { contentHash } from '../lib/hash.ts';
import type { Problem } from '../api/index.ts';
import { cut } from './conditions.ts';
import { textAt, valueAt } from './raw-object.ts';

/** What there is to tell of one object for one reason. */
export type Telling = {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly reason: string;
  readonly message: string;
};

/** The object itself, as an Event names it. */
export type Regarding = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
};

/** An Event that is there already. */
export type ToldEvent = {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly message: string;
  readonly count: number;
  readonly resourceVersion: string;
};

export const reporter = 'weft-controller';
/** What events.k8s.io/v1 allows, whose readers are served the same Events. */
const messageBytesMax = 1_024;
/** With a dot and 16 digits within the 253 of a name. */
const nameLengthMax = 200;
/** Events of objects without a namespace are kept there, as everybody does. */
const clusterNamespace = 'default';

/** `Kind namespace/name Reason` → what to tell. */
export function tellingsOf(problems: readonly Problem[]): ReadonlyMap<string, Telling> {
  const groups = new Map<string, Problem[]>();
  for (const problem of problems) {
    const { kind, namespace, name, reason } = problem;
    const key = `${kind} ${namespace}/${name} ${reason}`;
    const others = groups.get(key);
    if (others === undefined) groups.set(key, [problem]);
    else others.push(problem);
  }
  const tellings = new Map<string, Telling>();
  for (const [key, group] of groups) {
    const [first, ...rest] = group;
    if (first === undefined) continue;
    const more = rest.length === 0 ? '' : ` (and ${rest.length} more of this kind)`;
    const message = cutBytes(first.message, messageBytesMax - more.length) + more;
    const { kind, namespace, name, reason } = first;
    tellings.set(key, { kind, namespace, name, reason, message });
  }
  return tellings;
}

/** Whole characters that fit. */
function cutBytes(text: string, bytesMax: number): string {
  let lengthMax = bytesMax;
  while (Buffer.byteLength(cut(text, lengthMax)) > bytesMax) lengthMax -= 8;
  return cut(text, lengthMax);
}

/** Where the Event about an object lives: a Namespace's own is where its users look. */
export function eventNamespace({ kind, namespace, name }: Omit<Telling, 'message'>): string {
  if (kind === 'Namespace') return name;
  return namespace === '' ? clusterNamespace : namespace;
}

/** Of the object with this uid; a successor of the same name has Events of its own. */
function eventName(telling: Telling, uid: string): string {
  const { kind, namespace, name, reason } = telling;
  const start = name.slice(0, nameLengthMax).replace(/[^a-z0-9]+$/, '');
  return `${start}.${contentHash([kind, namespace, name, uid, reason].join('\n'))}`;
}

export type EventInput = {
  readonly telling: Telling;
  readonly regarding: Regarding;
  /** Who reports: the pod of this controller. */
  readonly instance: string;
  /** RFC 3339, whole seconds. */
  readonly now: string;
};

/** A first Event. */
export function newEvent({ telling, regarding, instance, now }: EventInput): unknown {
  const namespace = eventNamespace(telling);
  const { apiVersion, kind, name, uid } = regarding;
  const isClusterScoped = regarding.namespace === '' && kind !== 'Namespace';
  const where = isClusterScoped ? {} : { namespace };
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: {
      name: eventName(telling, uid),
      namespace,
      labels: { 'app.kubernetes.io/name': 'weft' },
    },
    involvedObject: { apiVersion, kind, name, uid, ...where },
    type: 'Warning',
    reason: telling.reason,
    message: telling.message,
    source: { component: reporter },
    reportingComponent: reporter,
    reportingInstance: instance,
    firstTimestamp: now,
    lastTimestamp: now,
    count: 1,
  };
}

/** The same Event once more, with what is wrong now; valid only for the version that was read. */
export function repeatedEvent(told: ToldEvent, telling: Telling, now: string): unknown {
  return {
    metadata: { resourceVersion: told.resourceVersion },
    message: telling.message,
    lastTimestamp: now,
    count: told.count + 1,
  };
}

/** An Event of ours as the API server holds it, and the key of what it tells. */
export function readEvent(event: unknown): { readonly key: string; readonly told: ToldEvent } {
  const about = (field: string): string => textAt(event, 'involvedObject', field) ?? '';
  const kind = about('kind');
  const namespace = kind === 'Namespace' ? '' : about('namespace');
  const reason = textAt(event, 'reason') ?? '';
  const count = valueAt(event, 'count');
  return {
    key: `${kind} ${namespace}/${about('name')} ${reason}`,
    told: {
      name: textAt(event, 'metadata', 'name') ?? '',
      namespace: textAt(event, 'metadata', 'namespace') ?? '',
      uid: about('uid'),
      message: textAt(event, 'message') ?? '',
      count: typeof count === 'number' ? count : 1,
      resourceVersion: textAt(event, 'metadata', 'resourceVersion') ?? '',
    },
  };
}
