// The ABNF of RFC 9112, 9110 and 3986 as regular expressions, one constant per production and with
// its name, for the reference parser of the differential fuzz. Clear, slow, and on purpose not a
// line of it shared with src/dataplane/http1. Texts are latin1: one character is one byte.

/** RFC 9110 5.6.2. */
export const token = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+";
/** RFC 9110 5.6.3; BWS is the same text. */
export const ows = '[ \\t]*';
/** RFC 9110 5.5: field-vchar = VCHAR / obs-text. */
const fieldVchar = '[\\x21-\\x7e\\x80-\\xff]';
/** RFC 9110 5.5: field-value = *field-content, so white space stands inside only. */
export const fieldValue = `(?:${fieldVchar}(?:[\\t \\x21-\\x7e\\x80-\\xff]*${fieldVchar})?)?`;
/** RFC 9110 5.6.4. */
const qdtext = '[\\t \\x21\\x23-\\x5b\\x5d-\\x7e\\x80-\\xff]';
const quotedPair = '\\\\[\\t \\x21-\\x7e\\x80-\\xff]';
const quotedString = `"(?:${qdtext}|${quotedPair})*"`;

/** RFC 9112 2.3, case-sensitive. */
export const httpVersion = 'HTTP/[0-9]\\.[0-9]';
/** RFC 9112 4: reason-phrase = 1*( HTAB / SP / VCHAR / obs-text ), optional behind the SP. */
export const reasonPhrase = '[\\t \\x21-\\x7e\\x80-\\xff]*';

/** RFC 3986 2.1 to 2.3, 3.3, 3.4. */
const unreserved = 'A-Za-z0-9\\-._~';
const subDelims = "!$&'()*+,;=";
const pctEncoded = '%[0-9A-Fa-f]{2}';
const pchar = `(?:[${unreserved}${subDelims}:@]|${pctEncoded})`;
/** RFC 9110 4.1: absolute-path = 1*( "/" segment ). */
export const absolutePath = `(?:/${pchar}*)+`;
export const pathAbempty = `(?:/${pchar}*)*`;
export const query = `(?:${pchar}|[/?])*`;
/** RFC 3986 3.1. */
export const scheme = '[A-Za-z][A-Za-z0-9+\\-.]*';

/** RFC 3986 3.2.2. */
const h16 = '[0-9A-Fa-f]{1,4}';
const decOctet = '(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9][0-9]|[0-9])';
const ipv4address = `${decOctet}(?:\\.${decOctet}){3}`;
const ls32 = `(?:${h16}:${h16}|${ipv4address})`;
const ipv6address = [
  `(?:${h16}:){6}${ls32}`,
  `::(?:${h16}:){5}${ls32}`,
  `(?:${h16})?::(?:${h16}:){4}${ls32}`,
  `(?:(?:${h16}:){0,1}${h16})?::(?:${h16}:){3}${ls32}`,
  `(?:(?:${h16}:){0,2}${h16})?::(?:${h16}:){2}${ls32}`,
  `(?:(?:${h16}:){0,3}${h16})?::${h16}:${ls32}`,
  `(?:(?:${h16}:){0,4}${h16})?::${ls32}`,
  `(?:(?:${h16}:){0,5}${h16})?::${h16}`,
  `(?:(?:${h16}:){0,6}${h16})?::`,
].join('|');
const ipvFuture = `v[0-9A-Fa-f]+\\.[${unreserved}${subDelims}:]+`;
export const ipLiteral = `\\[(?:${ipv6address})\\]`;
const regName = `(?:[${unreserved}${subDelims}]|${pctEncoded})*`;
export const uriHost = `(?:${ipLiteral}|\\[${ipvFuture}\\]|${regName})`;
/** RFC 9110 7.2: Host = uri-host [ ":" port ]; also the authority of an http URI. */
export const hostAndPort = `(${uriHost})(?::([0-9]*))?`;

/** RFC 9112 7: transfer-coding = token *( OWS ";" OWS transfer-parameter ). */
const transferParameter = `${token}${ows}=${ows}(?:${token}|${quotedString})`;
export const transferCoding = `${token}(?:${ows};${ows}${transferParameter})*`;

/** RFC 9112 7.1 and 7.1.1. */
export const chunkSize = '[0-9A-Fa-f]+';
const chunkExtValue = `(?:${token}|${quotedString})`;
export const chunkExt =
  `(?:${ows};${ows}${token}(?:${ows}=${ows}${chunkExtValue})?)*`;

/** The production and nothing else. */
export function whole(production: string, flags = ''): RegExp {
  return new RegExp(`^(?:${production})$`, flags);
}
