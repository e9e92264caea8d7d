// Reviews: questions that are answered and not stored (SelfSubjectAccessReview, SelfSubjectReview,
// TokenReview). Everybody with a token may do everything here: RBAC is not played.
import { objectAt, type Json, type JsonObject } from './json.ts';
import type { ResourceKind, User } from './kinds.ts';

function userObject(user: User): JsonObject {
  const extra = Object.entries(user.extra).map(([key, values]): [string, Json] => [
    key,
    [...values],
  ]);
  const told: JsonObject = { username: user.username, groups: [...user.groups] };
  if (user.uid !== '') told.uid = user.uid;
  if (extra.length > 0) told.extra = Object.fromEntries(extra);
  return told;
}

/** The answer to a review, or `undefined` when the kind is none. */
export function answerReview(
  kind: ResourceKind,
  body: JsonObject,
  user: User,
): JsonObject | undefined {
  const review = { ...body, metadata: objectAt(body, 'metadata') };
  switch (kind.kind) {
    case 'SelfSubjectAccessReview':
      return { ...review, status: { allowed: true, reason: 'RBAC is off in the playground' } };
    case 'SelfSubjectReview':
      return { ...review, status: { userInfo: userObject(user) } };
    case 'TokenReview':
      return { ...review, status: { authenticated: true, user: userObject(user) } };
    default:
      return undefined;
  }
}
