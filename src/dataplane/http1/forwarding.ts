// Which fields of a parsed message may be written to the other side (RFC 9110 section 7.6.1). What
// is not forwarded is either hop-by-hop, made anew by serialise.ts, or a claim that only a proxy of
// this mesh may make. Everything else passes unchanged and in order.
import { field, knownFieldCount } from './field-names.ts';
import type { KnownField } from './field-names.ts';
import type { Fields } from './fields.ts';

/** Between two neighbours only; what of them is due on our side is written anew. */
const hopByHop: readonly KnownField[] = [
  field.connection,
  field.contentLength,
  field.transferEncoding,
  field.te,
  field.upgrade,
  field.keepAlive,
  field.proxyConnection,
  field.http2Settings,
];

/** Written anew with our own values, so that a pod never sees two. */
const replacedInRequests: readonly KnownField[] = [
  field.host,
  field.xForwardedFor,
  field.xForwardedHost,
  field.xForwardedProto,
  field.xForwardedPort,
  field.xRequestId,
  field.traceparent,
];

/** What a client says about identity is worth nothing (A8), and a pod must not take it for ours. */
const claims: readonly KnownField[] = [
  field.forwarded,
  field.xForwardedClientCert,
  field.l5dClientId,
  field.proxyAuthorization,
];

/** RFC 9110 section 6.5.1: framing, routing, authentication, request modifiers, content format. */
const forbiddenInTrailers: readonly KnownField[] = [
  ...hopByHop,
  ...replacedInRequests,
  ...claims,
  field.trailer,
  field.expect,
  field.maxForwards,
  field.via,
  field.tracestate,
  field.date,
  field.authorization,
  field.cookie,
  field.setCookie,
  field.contentEncoding,
  field.contentType,
  field.contentRange,
  field.cacheControl,
  field.age,
  field.expires,
  field.location,
  field.retryAfter,
  field.vary,
  field.pragma,
  field.range,
  field.wwwAuthenticate,
  field.proxyAuthenticate,
];

/** One byte per known field: 1 is held back. */
function tableOf(...lists: (readonly KnownField[])[]): Uint8Array {
  const table = new Uint8Array(knownFieldCount);
  for (const known of lists.flat()) table[known] = 1;
  return table;
}

const heldFromUpstream = tableOf(hopByHop, replacedInRequests, claims);
const heldFromDownstream = tableOf(hopByHop);
const heldFromTrailers = tableOf(forbiddenInTrailers);

/** Tells a pod that the request is a copy, and of which service's (`weft.dev/mirror`). */
export const mirrorField = 'weft-mirror';

/** Prefixes of fields that only proxies of a mesh write: ours, and a name that others use. */
const proxyPrefixes = ['weft-', 'x-mesh-'];
/** Claims as CGI and WSGI see them: there `x_forwarded_for` and `x-forwarded-for` are one name. */
const claimedNames: ReadonlySet<string> = new Set([
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-forwarded-port',
  'x-forwarded-client-cert',
  'l5d-client-id',
]);

/** First letters of names without underscore that can be a claim; 0: the name has one. */
const claimInitials = new Uint8Array(256);
for (const name of [...proxyPrefixes, ...claimedNames, '\0']) claimInitials[name.charCodeAt(0)] = 1;

/** The field at `index` of a request passes on to the pod. */
export function passesUpstream(
  fields: Fields,
  index: number,
  nominated: ReadonlySet<string>,
): boolean {
  const known = fields.knownAt(index);
  if (heldFromUpstream[known] === 1) return false;
  if (known === 0 && mayBeClaim(fields, index) && isClaim(fields.lowerNameAt(index))) return false;
  return nominated.size === 0 || !nominated.has(fields.lowerNameAt(index));
}

/** The field at `index` of a response passes on to the client. */
export function passesDownstream(
  fields: Fields,
  index: number,
  nominated: ReadonlySet<string>,
): boolean {
  const known = fields.knownAt(index);
  if (heldFromDownstream[known] === 1) return false;
  if (known === 0 && mayBeClaim(fields, index) && hasProxyPrefix(fields.lowerNameAt(index))) {
    return false;
  }
  return nominated.size === 0 || !nominated.has(fields.lowerNameAt(index));
}

/** The trailer at `index` passes on, in either direction. */
export function passesAsTrailer(
  fields: Fields,
  index: number,
  nominated: ReadonlySet<string>,
): boolean {
  const known = fields.knownAt(index);
  if (heldFromTrailers[known] === 1) return false;
  if (known === 0 && isClaim(fields.lowerNameAt(index))) return false;
  return nominated.size === 0 || !nominated.has(fields.lowerNameAt(index));
}

/** Spares most names the string that `isClaim` looks at; says yes too often, never too seldom. */
function mayBeClaim(fields: Fields, index: number): boolean {
  return claimInitials[fields.initialAt(index)] === 1;
}

function isClaim(lowerName: string): boolean {
  if (hasProxyPrefix(lowerName)) return true;
  if (!lowerName.includes('_')) return false;
  const dashed = lowerName.replaceAll('_', '-');
  return hasProxyPrefix(dashed) || claimedNames.has(dashed);
}

function hasProxyPrefix(lowerName: string): boolean {
  return proxyPrefixes.some((prefix) => lowerName.startsWith(prefix));
}
