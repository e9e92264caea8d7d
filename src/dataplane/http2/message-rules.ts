// Whether the field lines of a block are a message (RFC 9113 section 8), and what a session has to
// know of it. Pure; what is refused here is malformed whatever it means, and ends its stream with
// PROTOCOL_ERROR. What a hostname or a path means is for those who route.
import { isToken, targetBytes } from '../http1/bytes.ts';
import { parseContentLength } from '../http1/framing.ts';
import { fieldRule, lastPseudo } from './field-rules.ts';
import type { DecodedField } from './hpack-decoder.ts';

export type MessageFacts = {
  /** Of the sender; undefined when it said nothing. */
  readonly contentLength: number | undefined;
  /** 0 in a request. */
  readonly status: number;
  readonly isHead: boolean;
  readonly isConnect: boolean;
};

/** What is wrong with a message, for logs. */
export type Malformed = { readonly malformed: string };

type Gathered = {
  method: string | undefined;
  scheme: string | undefined;
  authority: string | undefined;
  path: string | undefined;
  status: string | undefined;
  contentLength: number | undefined;
};

export function requestFacts(fields: readonly DecodedField[]): MessageFacts | Malformed {
  const said = gather(fields);
  if ('malformed' in said) return said;
  const { method, contentLength } = said;
  if (said.status !== undefined) return { malformed: ':status in a request' };
  if (method === undefined || !isToken(method)) return { malformed: 'no :method' };
  const isConnect = method === 'CONNECT';
  const fault = isConnect ? connectFault(said) : targetFault(said, method);
  if (fault !== undefined) return { malformed: fault };
  return { contentLength, status: 0, isHead: method === 'HEAD', isConnect };
}

/** RFC 9113 section 8.5. */
function connectFault({ scheme, path, authority }: Gathered): string | undefined {
  if (scheme !== undefined || path !== undefined) return 'CONNECT with :scheme or :path';
  return authority === undefined || authority === '' ? 'CONNECT without :authority' : undefined;
}

function targetFault({ scheme, path }: Gathered, method: string): string | undefined {
  if (scheme !== 'http' && scheme !== 'https') return 'no :scheme that is served';
  if (path === '*' && method === 'OPTIONS') return undefined;
  if (path?.startsWith('/') !== true) return 'no :path';
  for (let at = 0; at < path.length; at += 1) {
    if (targetBytes[path.charCodeAt(at)] !== 1) return 'a byte in :path that is in no path';
  }
  return undefined;
}

export function responseFacts(fields: readonly DecodedField[]): MessageFacts | Malformed {
  const said = gather(fields);
  if ('malformed' in said) return said;
  const { method, scheme, authority, path, status = '', contentLength } = said;
  if ((method ?? scheme ?? authority ?? path) !== undefined) {
    return { malformed: 'a field of requests in a response' };
  }
  if (!/^[1-5]\d\d$/.test(status)) return { malformed: 'no :status' };
  // RFC 9113 section 8.6: there is no switching of protocols.
  if (status === '101') return { malformed: 'status 101' };
  return { contentLength, status: Number(status), isHead: false, isConnect: false };
}

export function trailersFault(fields: readonly DecodedField[]): Malformed | undefined {
  for (const { rule } of fields) {
    if (rule > 0 && rule <= lastPseudo) return { malformed: 'a pseudo field in trailers' };
    if (rule >= fieldRule.forbidden) return { malformed: 'a malformed trailer' };
  }
  return undefined;
}

function gather(fields: readonly DecodedField[]): Gathered | Malformed {
  const said: Gathered = {
    method: undefined,
    scheme: undefined,
    authority: undefined,
    path: undefined,
    status: undefined,
    contentLength: undefined,
  };
  let isBehindPseudo = false;
  for (const field of fields) {
    const { rule } = field;
    if (rule === fieldRule.ordinary || rule === fieldRule.host) {
      isBehindPseudo = true;
      continue;
    }
    if (rule > lastPseudo) isBehindPseudo = true;
    else if (isBehindPseudo) return { malformed: 'a pseudo field behind others' };
    const fault = gatherField(said, field);
    if (fault !== undefined) return { malformed: fault };
  }
  return said;
}

/** One that has a rule; what is wrong with it, or undefined. */
function gatherField(said: Gathered, { rule, value }: DecodedField): string | undefined {
  switch (rule) {
    case fieldRule.method:
      return once(said, 'method', value);
    case fieldRule.scheme:
      return once(said, 'scheme', value);
    case fieldRule.authority:
      return once(said, 'authority', value);
    case fieldRule.path:
      return once(said, 'path', value);
    case fieldRule.status:
      return once(said, 'status', value);
    case fieldRule.contentLength:
      return gatherLength(said, value);
    case fieldRule.te:
      return value === 'trailers' ? undefined : 'te that is not trailers';
    case fieldRule.protocol:
      return ':protocol, which was not offered';
    case fieldRule.forbidden:
      return 'a field of the connection';
    default:
      return 'a malformed field';
  }
}

type PseudoName = 'method' | 'scheme' | 'authority' | 'path' | 'status';

function once(said: Gathered, name: PseudoName, value: string): string | undefined {
  if (said[name] !== undefined) return `:${name} twice`;
  said[name] = value;
  return undefined;
}

/** One and no more, as in HTTP/1.1: whatever is behind this proxy may guess differently. */
function gatherLength(said: Gathered, value: string): string | undefined {
  if (said.contentLength !== undefined) return 'content-length twice';
  said.contentLength = parseContentLength(value);
  if (said.contentLength === undefined) return 'content-length that is no number';
  return undefined;
}
