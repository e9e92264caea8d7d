// What a service's settings do to its traffic besides forwarding it: limits first. Nearly no
// service has any of this, so it is one optional part of the rules, and a data plane that finds it
// absent has one thing to look at per request. Type, canonical order and guard of the text stand
// side by side: whoever adds a rule adds it to all three.
import { hasShape, isAbsentOr, isAmount, isCount, type Guard } from './shape.ts';

/** Requests a second and how many at once, for each source identity. */
export type RateLimitRule = { readonly average: number; readonly burst: number };

/** Absent: nobody has said it. */
export type ShapingRules = {
  readonly rateLimit?: RateLimitRule | undefined;
};

/** Its keys in alphabetical order; undefined when there is none. */
export function shapingInOrder(rules: ShapingRules | undefined): ShapingRules | undefined {
  if (rules === undefined) return undefined;
  const { rateLimit } = rules;
  return {
    rateLimit: rateLimit && { average: rateLimit.average, burst: rateLimit.burst },
  };
}

export const isShaping: Guard<ShapingRules> = hasShape<ShapingRules>({
  rateLimit: isAbsentOr(hasShape<RateLimitRule>({ average: isAmount, burst: isCount })),
});
