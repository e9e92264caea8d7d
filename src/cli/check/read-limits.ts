// Reads the quotas and limit ranges of the mesh namespace. IO without judgement: what they let
// through is in quota-facts.ts. The quota that an installation brings itself is not looked at.
import type { Connection } from '../../kube/index.ts';
import { listAt, textAt, valueAt } from '../../lib/raw-object.ts';
import { ourIdentity } from './our-objects.ts';
import type { LimitEntry, LimitFacts, Quota } from './quota-facts.ts';
import { nameOf, readAll } from './read-cluster.ts';

const core = { group: '', version: 'v1' };
const ourPods = { labelSelector: 'app.kubernetes.io/name=weft' };

export async function readLimits(
  connection: Connection,
  namespace: string,
): Promise<Pick<LimitFacts, 'quotas' | 'limits'>> {
  const path = { ...core, namespace };
  // What is used is used by a mesh that is there already: all of the quota is for it.
  const own = await readAll(connection, { ...path, plural: 'pods' }, nameOf, ourPods);
  const quotas = await readAll(connection, { ...path, plural: 'resourcequotas' }, (object) =>
    ourIdentity(object) === undefined ? [quotaOf(object, own.length > 0)] : [],
  );
  const limits = await readAll(connection, { ...path, plural: 'limitranges' }, entriesOf);
  return { quotas: quotas.flat(), limits: limits.flat() };
}

function quotaOf(object: unknown, isOurs: boolean): Quota {
  return {
    name: nameOf(object),
    covers: (priorityClass) => covers(object, priorityClass),
    hard: textsAt(object, 'spec', 'hard'),
    used: isOurs ? new Map() : textsAt(object, 'status', 'used'),
  };
}

/** Our pods run for ever and state requests; the other scopes are of pods that do not. */
const scopesOfOurs: readonly unknown[] = ['NotTerminating', 'NotBestEffort'];

function covers(quota: unknown, priorityClass: string): boolean {
  if (!listAt(quota, 'spec', 'scopes').every((scope) => scopesOfOurs.includes(scope))) return false;
  return listAt(quota, 'spec', 'scopeSelector', 'matchExpressions').every((expression) => {
    const scope = textAt(expression, 'scopeName');
    if (scope !== 'PriorityClass') return scopesOfOurs.includes(scope);
    const values = listAt(expression, 'values');
    switch (textAt(expression, 'operator')) {
      case 'In':
        return values.includes(priorityClass);
      case 'NotIn':
        return !values.includes(priorityClass);
      case 'DoesNotExist':
        return false;
      default:
        return true;
    }
  });
}

function entriesOf(range: unknown): readonly LimitEntry[] {
  return listAt(range, 'spec', 'limits').flatMap((entry) => {
    const type = textAt(entry, 'type');
    if (type !== 'Container' && type !== 'Pod') return [];
    return [
      {
        name: nameOf(range),
        max: textsAt(entry, 'max'),
        min: textsAt(entry, 'min'),
        initial: textsAt(entry, 'default'),
        ratioMax: textsAt(entry, 'maxLimitRequestRatio'),
      },
    ];
  });
}

function textsAt(value: unknown, ...path: readonly string[]): ReadonlyMap<string, string> {
  const found = valueAt(value, ...path);
  const entries = typeof found === 'object' && found !== null ? Object.entries(found) : [];
  return new Map(
    entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}
