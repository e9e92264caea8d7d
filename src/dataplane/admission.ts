// What is refused before anybody asks where a request goes – what a mesh proxy does not serve at
// all, loops, work over the memory budget – and which refusals end the client's connection.
import type { ServiceRules } from '../snapshot/index.ts';
import type { Engine } from './engine.ts';
import type { HttpRequestHead } from './http1/request-head.ts';
import { countOwnVia } from './http1/serialise.ts';
import { viaEntriesMax } from './limits.ts';
import type { Reason } from './refusals.ts';

/** Why the head alone is a reason to look nothing up; undefined = it may go on. */
export function refusalOf(head: HttpRequestHead): Reason | undefined {
  // A tunnel to anywhere is no service of the mesh, and TRACE would show credentials.
  if (head.method === 'CONNECT' || head.method === 'TRACE') return 'BadRequestUnsupported';
  return countOwnVia(head.fields) >= viaEntriesMax ? 'Loop' : undefined;
}

/** Too much waits in memory already: new work has to go elsewhere. */
export function isOverloaded(engine: Engine): boolean {
  return engine.counts.bufferedBytes > engine.limits.bufferedBytesMax;
}

/** The body limit in force: the service's, else the proxy's. */
export function bodyBytesMaxOf(engine: Engine, rules: ServiceRules): number {
  return rules.maxRequestBodyBytes ?? engine.limits.requestBodyBytesMax ?? Infinity;
}

/**
 * Whether a refusal ends the connection although its framing is intact: what is no sane request,
 * and an absolute-form target that asks for somewhere outside the mesh (a try to use us as relay).
 */
export function endsConnection(reason: Reason, head: HttpRequestHead): boolean {
  if (reason.startsWith('BadRequest')) return true;
  return reason === 'UnknownService' && head.fields.get('host') !== head.authority;
}
