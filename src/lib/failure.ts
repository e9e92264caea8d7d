// A failure: the outside world did not do its part (connect refused, bad answer, deadline passed).
// Modules close their own union of reasons; nothing here decides what a failure means.

/** Whose part was not done. */
export type Origin = 'downstream' | 'upstream' | 'internal';

/** What may be tried again: nothing, only what was provably not sent, or what is idempotent. */
export type RetryClass = 'never' | 'if-not-sent' | 'if-idempotent';

export type FailureFacts<R extends string> = {
  readonly reason: R;
  readonly origin: Origin;
  readonly retry: RetryClass;
  readonly cause?: unknown;
};

/**
 * The one error class of the house. Message: lower case, no full stop, what, to what, likely cause.
 * It carries no secret, no body and no user header value.
 */
export class Failure<R extends string = string> extends Error {
  readonly reason: R;
  readonly origin: Origin;
  readonly retry: RetryClass;

  constructor(message: string, facts: FailureFacts<R>) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.name = 'Failure';
    this.reason = facts.reason;
    this.origin = facts.origin;
    this.retry = facts.retry;
  }
}
