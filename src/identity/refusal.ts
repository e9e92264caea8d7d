// How this module says no: a stable reason for logs and metrics, and one sentence for people.
// Nothing here throws on what comes from outside; a refusal is an ordinary answer.

/** Why something from outside is not taken. */
export type Refused<R extends string> = {
  readonly kind: 'refused';
  readonly reason: R;
  /** Lower case, no full stop; quotes at most a name that has passed a check, or JSON of it. */
  readonly message: string;
};

export function refused<R extends string>(reason: R, message: string): Refused<R> {
  return { kind: 'refused', reason, message };
}

/** Text from outside for a message: escaped, and at most 80 characters of it. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}
