// Problems in one order, each once. Several processors may find the same defect, and objects come
// in any order: what a user and a test read is sorted by object, then reason, then text.
import type { Kind, Problem, ProblemReason } from '../api/index.ts';
import { byKey } from '../lib/order.ts';

/** Makes a problem of `object`, any parsed object or reference. */
export function problemOf(
  object: {
    readonly kind: Kind;
    readonly meta: { readonly namespace: string; readonly name: string };
  },
  reason: ProblemReason,
  message: string,
): Problem {
  const { namespace, name } = object.meta;
  return { reason, kind: object.kind, namespace, name, message };
}

/** Sorted, without repeats. */
export function sortedProblems(problems: readonly Problem[]): readonly Problem[] {
  const byText = new Map<string, Problem>();
  for (const problem of problems) byText.set(sortKey(problem), problem);
  return [...byText.entries()].sort(byKey).map(([, problem]) => problem);
}

function sortKey({ kind, namespace, name, reason, message }: Problem): string {
  return `${kind}\n${namespace}\n${name}\n${reason}\n${message}`;
}
