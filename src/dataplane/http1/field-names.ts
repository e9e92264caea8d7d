// The field names that a proxy has to know, as small numbers: rules switch on a number instead of
// comparing text, and the names of frequent fields are strings that exist once, not once per head.
import { tokenBytes } from './bytes.ts';

/** Number of a name in `field`; 0 is every other name. */
export type KnownField = number;
export const unknownField: KnownField = 0;

/** Fields with a rule in the codec. */
export const field = {
  host: 1,
  connection: 2,
  contentLength: 3,
  transferEncoding: 4,
  te: 5,
  trailer: 6,
  upgrade: 7,
  keepAlive: 8,
  proxyConnection: 9,
  http2Settings: 10,
  expect: 11,
  maxForwards: 12,
  via: 13,
  proxyAuthorization: 14,
  forwarded: 15,
  xForwardedFor: 16,
  xForwardedHost: 17,
  xForwardedProto: 18,
  xForwardedPort: 19,
  xForwardedClientCert: 20,
  l5dClientId: 21,
  xRequestId: 22,
  traceparent: 23,
  tracestate: 24,
  date: 25,
  authorization: 26,
  cookie: 27,
  setCookie: 28,
  contentEncoding: 29,
  contentType: 30,
  contentRange: 31,
  cacheControl: 32,
  age: 33,
  expires: 34,
  location: 35,
  retryAfter: 36,
  vary: 37,
  pragma: 38,
  range: 39,
  wwwAuthenticate: 40,
  proxyAuthenticate: 41,
} as const;

/** Frequent names without a rule: known only so that their string is made once. */
const frequentNames = [
  'accept',
  'accept-encoding',
  'accept-language',
  'accept-ranges',
  'user-agent',
  'origin',
  'referer',
  'server',
  'etag',
  'last-modified',
  'if-none-match',
  'if-modified-since',
  'idempotency-key',
  'x-powered-by',
];

// `xForwardedFor` is `x-forwarded-for`: the numbers above and the names on the wire are one list.
const lowerNames: string[] = [''];
for (const [key, known] of Object.entries(field)) {
  lowerNames[known] = key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
lowerNames.push(...frequentNames);
/** One more than the largest number: the size of a table over known fields. */
export const knownFieldCount = lowerNames.length;

/** Lower-case name of a known field. */
export function lowerNameOf(known: KnownField): string {
  return lowerNames[known] ?? '';
}

// A hash table over (length, first byte, last byte), chained through `nextInBucket`. Every byte of
// a candidate is compared, so a collision costs time and never a wrong name.
const bucketCount = 256;
const firstInBucket = new Uint8Array(bucketCount);
const nextInBucket = new Uint8Array(knownFieldCount);
const nameBytes = lowerNames.map((name) => Uint8Array.from(Buffer.from(name, 'latin1')));

function bucketOf(length: number, first: number, last: number): number {
  return (length * 13 + (first | 0x20) * 5 + (last | 0x20)) & (bucketCount - 1);
}

for (let known = 1; known < knownFieldCount; known += 1) {
  const bytes = nameBytes[known] ?? new Uint8Array();
  const bucket = bucketOf(bytes.length, bytes[0] ?? 0, bytes[bytes.length - 1] ?? 0);
  nextInBucket[known] = firstInBucket[bucket] ?? 0;
  firstInBucket[bucket] = known;
}

/** tchars in lower case; every other byte is 0, which is in no name. */
const lowerBytes = Uint8Array.from({ length: 256 }, (_, byte) => {
  if (tokenBytes[byte] !== 1) return 0;
  return byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
});

/** Which known field `buffer[start, end)` names, in any case. */
export function knownFieldAt(buffer: Buffer, start: number, end: number): KnownField {
  const length = end - start;
  const bucket = bucketOf(length, buffer[start] ?? 0, buffer[end - 1] ?? 0);
  let known = firstInBucket[bucket] ?? 0;
  while (known !== 0) {
    const bytes = nameBytes[known];
    if (bytes !== undefined && bytes.length === length && isSameName(buffer, start, bytes)) {
      return known;
    }
    known = nextInBucket[known] ?? 0;
  }
  return unknownField;
}

function isSameName(buffer: Buffer, start: number, lowerName: Uint8Array): boolean {
  for (let at = 0; at < lowerName.length; at += 1) {
    if (lowerBytes[buffer[start + at] ?? 0] !== lowerName[at]) return false;
  }
  return true;
}
