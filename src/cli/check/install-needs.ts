// What an installation asks of the person who installs and of the namespace: read off the very
// objects that `weft install` prints, so that it cannot lag behind them. Pure.
import type { JsonMap } from '../install/json.ts';
import { pathOf } from '../install/object-path.ts';
import { listAt, textAt, valueAt } from '../../lib/raw-object.ts';
import type { PodNeed } from './quota-facts.ts';

/** One question to the API server: may I do that? */
export type Right = {
  readonly verb: string;
  /** `daemonsets.apps`. */
  readonly resource: string;
  /** Absent: in the whole cluster. */
  readonly namespace?: string;
  /** Absent: whatever its name. */
  readonly name?: string;
};

/** What `kubectl apply` and `weft upgrade` do with each object. */
const applyVerbs = ['get', 'create', 'patch'] as const;

export function applyRights(objects: readonly JsonMap[]): readonly Right[] {
  const rights = objects.flatMap((object) => {
    const { group, plural, namespace } = pathOf(object);
    const resource = resourceName(plural, group);
    const where = namespace === undefined ? {} : { namespace };
    return applyVerbs.map((verb) => ({ verb, resource, ...where }));
  });
  return distinct(rights);
}

const rbac = 'rbac.authorization.k8s.io';

/**
 * Nobody may grant what they do not hold, unless they have these: RBAC refuses a role, and a
 * binding to it, with more in it than its author has.
 */
export const grantAnything: readonly Right[] = ['roles', 'clusterroles'].flatMap((plural) =>
  ['escalate', 'bind'].map((verb) => ({ verb, resource: `${plural}.${rbac}` })),
);

/** All that the roles of an installation grant. */
export function grantedRights(objects: readonly JsonMap[]): readonly Right[] {
  const roles = objects.filter(({ kind }) => kind === 'ClusterRole' || kind === 'Role');
  return distinct(
    roles.flatMap((role) => {
      const { namespace } = pathOf(role);
      const where = namespace === undefined ? {} : { namespace };
      return listAt(role, 'rules').flatMap((rule) => ruleRights(rule, where));
    }),
  );
}

function ruleRights(rule: unknown, where: { readonly namespace?: string }): readonly Right[] {
  const texts = (key: string): readonly string[] =>
    listAt(rule, key).filter((one): one is string => typeof one === 'string');
  const names = texts('resourceNames');
  const which = names.length === 0 ? [{}] : names.map((name) => ({ name }));
  return texts('apiGroups').flatMap((group) =>
    texts('resources').flatMap((plural) =>
      texts('verbs').flatMap((verb) =>
        which.map((one) => ({ verb, resource: resourceName(plural, group), ...where, ...one })),
      ),
    ),
  );
}

function resourceName(plural: string, group: string): string {
  return group === '' ? plural : `${plural}.${group}`;
}

function distinct(rights: readonly Right[]): readonly Right[] {
  return [...new Map(rights.map((right) => [rightText(right), right])).values()];
}

/** `create roles.rbac.authorization.k8s.io in kube-system`. */
export function rightText({ verb, resource, namespace, name }: Right): string {
  const which = name === undefined ? '' : ` ${name}`;
  return `${verb} ${resource}${which}${namespace === undefined ? '' : ` in ${namespace}`}`;
}

/** The pods of an installation; `nodes`: how many get a proxy. */
export function podNeeds(objects: readonly JsonMap[], nodes: number): readonly PodNeed[] {
  return objects.flatMap((object) => {
    const { kind } = object;
    if (kind !== 'DaemonSet' && kind !== 'Deployment') return [];
    const replicas = valueAt(object, 'spec', 'replicas');
    const count = kind === 'DaemonSet' ? nodes : typeof replicas === 'number' ? replicas : 1;
    const pod = valueAt(object, 'spec', 'template', 'spec');
    const [container] = listAt(pod, 'containers');
    const amount = (side: string, what: string): string | undefined =>
      textAt(container, 'resources', side, what);
    return [
      {
        what: `${kind} ${textAt(object, 'metadata', 'name') ?? ''}`,
        // One more while they are replaced.
        count: count + 1,
        priorityClass: textAt(pod, 'priorityClassName') ?? '',
        amounts: new Map(
          ['cpu', 'memory'].flatMap((what) =>
            ['requests', 'limits'].map((side) => [`${side}.${what}`, amount(side, what)]),
          ),
        ),
      },
    ];
  });
}
