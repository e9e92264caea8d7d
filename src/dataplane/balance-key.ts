// What a consistent hash is taken of (`load-balancer: hash:…`): a field, a cookie, or the
// caller's address. Undefined: the request has none, and goes by load.
import type { BalancerRule } from '../snapshot/index.ts';
import type { Asker } from './endpoint-load.ts';

export function balanceKey(
  rule: Extract<BalancerRule, { kind: 'hash' }>,
  { request, remoteAddress }: Asker,
): string | undefined {
  switch (rule.by) {
    case 'source':
      return remoteAddress;
    case 'header':
      return request.fieldValues(rule.name)[0];
    case 'cookie':
      return cookieOf(request.fieldValues('cookie'), rule.name);
  }
}

/** The value of the first cookie of this name (RFC 6265 §4.2.1: name=value pairs, `; ` between). */
function cookieOf(fields: readonly string[], name: string): string | undefined {
  for (const field of fields) {
    for (const pair of field.split(';')) {
      const equals = pair.indexOf('=');
      if (equals > 0 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim();
    }
  }
  return undefined;
}
