// The conditions of an SMI object: `Accepted`, `ResolvedRefs`, `Programmed` from its problems and
// from where its generation has arrived (Kubernetes API conventions, "Typical status properties").
// It decides what is said, not when it is written. Conditions that somebody else put there are none
// of its business. Pure.
import type { Problem } from '../api/index.ts';
import { problemReasons, type Standing } from './problem-reasons.ts';
import { listAt, textAt, valueAt } from './raw-object.ts';

const conditionTypes = ['Accepted', 'ResolvedRefs', 'Programmed'] as const;
export type ConditionType = (typeof conditionTypes)[number];

export type Verdict = {
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
};

export type Condition = Verdict & {
  readonly type: string;
  readonly observedGeneration: number;
  /** RFC 3339; when `status` last changed. */
  readonly lastTransitionTime: string;
};

/** On how many nodes every ready proxy has had a version since this generation. */
export type Spread = { readonly on: number; readonly of: number };

export type ConditionInput = {
  readonly generation: number;
  readonly isReadable: boolean;
  /** Of this object alone, in their order. */
  readonly problems: readonly Problem[];
  readonly spread: Spread;
  /** What the object carries. */
  readonly existing: readonly Condition[];
  /** RFC 3339. */
  readonly now: string;
};

/** Problems whose messages fit in one condition; the rest is counted. */
const messagesMax = 5;
/** Below the 32 768 of the schema: a message is for reading. */
const messageLengthMax = 4_000;

/** All three, in the order of `conditionTypes`. */
export function desiredConditions(input: ConditionInput): readonly Condition[] {
  const verdicts: { readonly [T in ConditionType]: Verdict } = {
    Accepted: accepted(input),
    ResolvedRefs: resolvedRefs(input),
    Programmed: programmed(input),
  };
  return conditionTypes.map((type) => {
    const verdict = verdicts[type];
    const before = input.existing.find((condition) => condition.type === type);
    const isSame = before !== undefined && before.status === verdict.status;
    const lastTransitionTime = isSame ? before.lastTransitionTime : input.now;
    return { type, ...verdict, observedGeneration: input.generation, lastTransitionTime };
  });
}

/** Whether `existing` says already what is desired. */
export function areAsDesired(
  existing: readonly Condition[],
  desired: readonly Condition[],
): boolean {
  return desired.every((wanted) => {
    const found = existing.find((condition) => condition.type === wanted.type);
    return (
      found !== undefined &&
      found.status === wanted.status &&
      found.reason === wanted.reason &&
      found.message === wanted.message &&
      found.observedGeneration === wanted.observedGeneration
    );
  });
}

/** Once True for a generation it is not withdrawn, whatever lags later. */
export function isProgrammed(existing: readonly Condition[], generation: number): boolean {
  return existing.some(
    ({ type, status, observedGeneration }) =>
      type === 'Programmed' && status === 'True' && observedGeneration === generation,
  );
}

/** The conditions of an object as the API server holds it. */
export function readConditions(object: unknown): readonly Condition[] {
  return listAt(object, 'status', 'conditions').map((one) => {
    const status = textAt(one, 'status');
    const generation = valueAt(one, 'observedGeneration');
    return {
      type: textAt(one, 'type') ?? '',
      status: status === 'True' || status === 'False' ? status : 'Unknown',
      reason: textAt(one, 'reason') ?? '',
      message: textAt(one, 'message') ?? '',
      observedGeneration: typeof generation === 'number' ? generation : 0,
      lastTransitionTime: textAt(one, 'lastTransitionTime') ?? '',
    };
  });
}

function accepted({ problems }: ConditionInput): Verdict {
  const refused = ofStanding(problems, 'refused');
  const [first] = refused;
  if (first !== undefined) {
    return { status: 'False', reason: first.reason, message: textOf(refused) };
  }
  const advice = ofStanding(problems, 'advice');
  const [hint] = advice;
  if (hint !== undefined) return { status: 'True', reason: hint.reason, message: textOf(advice) };
  return { status: 'True', reason: 'Accepted', message: '' };
}

function resolvedRefs({ problems, isReadable }: ConditionInput): Verdict {
  if (!isReadable) {
    return { status: 'Unknown', reason: 'NotRead', message: 'the object cannot be read' };
  }
  const unresolved = ofStanding(problems, 'unresolved');
  const [first] = unresolved;
  if (first === undefined) return { status: 'True', reason: 'ResolvedRefs', message: '' };
  return { status: 'False', reason: first.reason, message: textOf(unresolved) };
}

function programmed({ existing, generation, isReadable, spread }: ConditionInput): Verdict {
  if (!isReadable) {
    const message = 'the object cannot be read: mend what Accepted says';
    return { status: 'False', reason: 'NotRead', message };
  }
  if (isProgrammed(existing, generation) || (spread.of > 0 && spread.on >= spread.of)) {
    return { status: 'True', reason: 'Programmed', message: '' };
  }
  const { on, of } = spread;
  const message =
    of === 0
      ? 'no proxy is ready (hint: look at DaemonSet weft-proxy)'
      : `on ${on} of ${of} nodes (hint: weft proxies shows which one lags)`;
  return { status: 'False', reason: 'Pending', message };
}

function ofStanding(problems: readonly Problem[], standing: Standing): readonly Problem[] {
  return problems.filter(({ reason }) => problemReasons[reason].standing === standing);
}

/** One message as it is; of several each with its reason when these differ. */
function textOf(problems: readonly Problem[]): string {
  const isOneReason = problems.every(({ reason }) => reason === problems[0]?.reason);
  const told = problems
    .slice(0, messagesMax)
    .map(({ reason, message }) => (isOneReason ? message : `${reason}: ${message}`));
  const untold = problems.length - told.length;
  if (untold > 0) told.push(`and ${untold} more`);
  return cut(told.join('; '), messageLengthMax);
}

/** Users' text may be long; what is cut says so. */
export function cut(text: string, lengthMax: number): string {
  return text.length <= lengthMax ? text : `${text.slice(0, lengthMax - 2)} …`;
}
