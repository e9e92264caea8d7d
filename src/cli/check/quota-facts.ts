// What the quotas and limit ranges of the mesh namespace let through, held against what the pods of
// an installation ask for. Pure. Both are judged as the API server's admission does: what a quota
// limits every pod has to state, and a LimitRange fills in what is not stated.
import { parseQuantity } from '../../lib/quantity.ts';
import { failed, ok, warning, type Finding } from './finding.ts';

export type PodNeed = {
  readonly what: string;
  readonly count: number;
  readonly priorityClass: string;
  /** `requests.cpu` and so on; `undefined`: not stated. */
  readonly amounts: ReadonlyMap<string, string | undefined>;
};

export type Quota = {
  readonly name: string;
  /** Whether it speaks of a pod of this priority class (its scopes). */
  readonly covers: (priorityClass: string) => boolean;
  readonly hard: ReadonlyMap<string, string>;
  readonly used: ReadonlyMap<string, string>;
};

/** One entry of a LimitRange, of containers or pods: ours have one container each. */
export type LimitEntry = {
  readonly name: string;
  readonly max: ReadonlyMap<string, string>;
  readonly min: ReadonlyMap<string, string>;
  /** Limits that containers without one get. */
  readonly initial: ReadonlyMap<string, string>;
  readonly ratioMax: ReadonlyMap<string, string>;
};

export type LimitFacts = {
  readonly meshNamespace: string;
  readonly pods: readonly PodNeed[];
  readonly quotas: readonly Quota[];
  readonly limits: readonly LimitEntry[];
};

const check = 'limits';

export function limitFindings(facts: LimitFacts): readonly Finding[] {
  const { meshNamespace, quotas, limits } = facts;
  const found = [
    ...quotas.flatMap((quota) => ofQuota(facts, quota)),
    ...limits.flatMap((entry) => facts.pods.flatMap((pod) => ofEntry(entry, pod))),
  ];
  if (found.length > 0) return found;
  const message = quotas.length + limits.length === 0 ? 'no quota or limit range' : 'no limit';
  return [ok(check, `${message} of namespace ${meshNamespace} stands in the way`)];
}

/** `cpu` alone means requests; both spellings exist. */
const spelled: ReadonlyMap<string, string> = new Map([
  ['cpu', 'requests.cpu'],
  ['memory', 'requests.memory'],
  ['count/pods', 'pods'],
]);

function ofQuota({ pods, limits }: LimitFacts, quota: Quota): readonly Finding[] {
  const covered = pods.filter(({ priorityClass }) => quota.covers(priorityClass));
  if (covered.length === 0) return [];
  const fix = 'raise it, or choose another namespace (weft install --namespace)';
  return [...quota.hard].flatMap(([name, hard]) => {
    const amount = spelled.get(name) ?? name;
    if (!/^(pods|(requests|limits)\.(cpu|memory))$/.test(amount)) return [];
    const silent = covered.find((pod) => amount !== 'pods' && lacks(pod, amount, limits));
    if (silent !== undefined) {
      const message = `ResourceQuota ${quota.name} limits ${name}: ${silent.what} states none`;
      return [failed(check, `${message}, so its pods are refused`, fix)];
    }
    const wanted = covered.reduce((sum, pod) => sum + wantedOf(pod, amount), 0);
    const free = numberOf(hard) - numberOf(quota.used.get(name));
    if (wanted <= free) return [];
    const left = `${free} of ${hard} are free, weft needs ${wanted}`;
    return [failed(check, `ResourceQuota ${quota.name} has too little ${name}: ${left}`, fix)];
  });
}

function lacks(pod: PodNeed, amount: string, limits: readonly LimitEntry[]): boolean {
  const resource = amount.replace(/^.*\./, '');
  return (
    pod.amounts.get(amount) === undefined && !limits.some(({ initial }) => initial.has(resource))
  );
}

function wantedOf({ count, amounts }: PodNeed, amount: string): number {
  return count * (amount === 'pods' ? 1 : numberOf(amounts.get(amount)));
}

function ofEntry(entry: LimitEntry, { what, amounts }: PodNeed): readonly Finding[] {
  const found: Finding[] = [];
  const range = `LimitRange ${entry.name}`;
  const fix = `set resources (proxy.resources, controller.resources), or change the LimitRange`;
  for (const resource of ['cpu', 'memory']) {
    const request = amounts.get(`requests.${resource}`);
    const limit = amounts.get(`limits.${resource}`);
    const [max, min] = [entry.max.get(resource), entry.min.get(resource)];
    const ratio = entry.ratioMax.get(resource);
    if (limit !== undefined && max !== undefined && numberOf(limit) > numberOf(max)) {
      const message = `${range} allows ${max} of ${resource}, ${what} has a limit of ${limit}`;
      found.push(failed(check, message, fix));
    }
    if (request !== undefined && min !== undefined && numberOf(request) < numberOf(min)) {
      const message = `${range} wants ${min} of ${resource} at least, ${what} asks for ${request}`;
      found.push(failed(check, message, fix));
    }
    if (ratio !== undefined && isOver(limit, request, ratio)) {
      const message = `${range} wants limits of ${resource} at most ${ratio} times the request`;
      found.push(failed(check, `${message}: ${what} has ${limit ?? 'none'}`, fix));
    }
    const given = entry.initial.get(resource);
    if (resource === 'cpu' && limit === undefined && given !== undefined) {
      const message = `${range} gives the pods of ${what} a CPU limit of ${given}`;
      const why = 'a quota halts every connection of the node: exempt the namespace';
      found.push(warning(check, message, why));
    }
  }
  return found;
}

function isOver(limit: string | undefined, request: string | undefined, ratio: string): boolean {
  if (limit === undefined || request === undefined) return true;
  return numberOf(limit) > numberOf(request) * numberOf(ratio);
}

const nano = 1e9;

/** 0 for what is absent; the API server has seen to it that the text is a quantity. */
function numberOf(text: string | undefined): number {
  const quantity = text === undefined ? undefined : parseQuantity(text);
  return quantity === undefined ? 0 : Number(quantity.nano) / nano;
}
