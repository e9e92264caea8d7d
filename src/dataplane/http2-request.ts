// A request of HTTP/2 as the request head that everything behind it knows: routed, authorised and
// forwarded like one of HTTP/1.1, under the same limits and rules. What is no message at all was
// refused before (http2/message-rules.ts); what is refused here is one that could be answered.
import { parseAuthority } from './http1/authority.ts';
import type { Authority } from './http1/authority.ts';
import { parseContentLength } from './http1/framing.ts';
import type { RequestFraming } from './http1/framing.ts';
import { hasContent, noBody } from './http1/framing.ts';
import { methodBytesMax } from './http1/limits.ts';
import type { HeadLimits } from './http1/limits.ts';
import {
  rejectHeadTooLarge,
  rejectHost,
  rejectSyntax,
  rejectTargetTooLong,
  rejectUnsupported,
} from './http1/reject.ts';
import type { Reject } from './http1/reject.ts';
import type { HttpRequestHead } from './http1/request-head.ts';
import { parseTarget } from './http1/target.ts';
import { FieldLines } from './http2-fields.ts';
import { fieldRule } from './http2/field-rules.ts';
import type { DecodedField } from './http2/hpack-decoder.ts';
import { entryBytes } from './http2/hpack-table.ts';

export type Http2RequestRules = {
  readonly limits: HeadLimits;
  /** Port of the user's Service that the listener stands for. */
  readonly servicePort: number;
};

const chunked: RequestFraming = { kind: 'chunked' };
const noNames: ReadonlySet<string> = new Set<string>([]);

/** What is said of a request outside of its ordinary fields. */
type Said = {
  method: string;
  path: string;
  authority: string | undefined;
  hosts: string[];
  length: number | undefined;
  cookie: string | undefined;
  expectsContinue: boolean;
  maxForwards: string | undefined;
  bytes: number;
};

/** `isWhole`: the stream ends with its head. */
export function http2Request(
  lines: readonly DecodedField[],
  isWhole: boolean,
  { limits, servicePort }: Http2RequestRules,
): HttpRequestHead | Reject {
  const said = gather(lines);
  const fault = faultOf(said, limits);
  if (fault !== undefined) return fault;
  const authority = authorityOf(said);
  if ('kind' in authority) return authority;
  const target = parseTarget(said.method, said.path);
  if (target.kind === 'reject') return target;
  const { maxForwards } = said;
  const left = maxForwards === undefined ? undefined : parseContentLength(maxForwards);
  if (maxForwards !== undefined && left === undefined) {
    return rejectSyntax('Max-Forwards is no number');
  }
  const framing = framingOf(said, isWhole);
  const fields = linesOf(lines, said, authority.text).fields();
  return {
    servicePort,
    hostname: authority.hostname,
    method: said.method,
    path: target.path,
    fieldValues: (name) => fields.values(name),
    version: 20,
    target: target.target,
    query: target.query,
    authority: authority.text,
    fields,
    framing,
    isKeepAlive: true,
    expectsContinue: said.expectsContinue && hasContent(framing),
    upgrade: undefined,
    nominated: noNames,
    hasEncodedSlash: target.hasEncodedSlash,
    maxForwards: left,
    bytes: said.bytes,
  };
}

function gather(fields: readonly DecodedField[]): Said {
  const said: Said = {
    method: '',
    path: '',
    authority: undefined,
    hosts: [],
    length: undefined,
    cookie: undefined,
    expectsContinue: false,
    maxForwards: undefined,
    bytes: 0,
  };
  for (const { name, value, rule } of fields) {
    said.bytes += entryBytes(name, value);
    if (rule === fieldRule.method) said.method = value;
    else if (rule === fieldRule.path) said.path = value;
    else if (rule === fieldRule.authority) said.authority = value;
    else if (rule === fieldRule.host) said.hosts.push(value);
    else if (rule === fieldRule.contentLength) said.length = parseContentLength(value);
    else if (rule === fieldRule.ordinary) gatherOrdinary(said, name, value);
  }
  return said;
}

function gatherOrdinary(said: Said, name: string, value: string): void {
  // Crumbs for the compressor (RFC 9113 section 8.2.3); to everybody else they are one field.
  if (name === 'cookie') {
    said.cookie = said.cookie === undefined ? value : `${said.cookie}; ${value}`;
  } else if (name === 'expect') {
    said.expectsContinue ||= value.toLowerCase() === '100-continue';
  } else if (name === 'max-forwards' && said.method === 'OPTIONS') {
    said.maxForwards = value;
  }
}

function faultOf({ method, path, bytes }: Said, limits: HeadLimits): Reject | undefined {
  const { targetBytesMax, headBytesMax } = limits;
  if (bytes > headBytesMax) return rejectHeadTooLarge(`head of more than ${headBytesMax} bytes`);
  if (method.length > methodBytesMax) {
    return rejectUnsupported(501, `method of more than ${methodBytesMax} bytes`);
  }
  if (path.length <= targetBytesMax) return undefined;
  return rejectTargetTooLong(`target of more than ${targetBytesMax} bytes`);
}

/** One host, said once or twice; where the two differ, two readers would see two hosts. */
function authorityOf({ authority, hosts }: Said): Authority | Reject {
  const text = authority ?? hosts[0];
  if (text === undefined) return rejectHost('neither :authority nor host');
  if (hosts.length > 1) return rejectHost('several host fields');
  if (hosts[0] !== undefined && hosts[0].toLowerCase() !== text.toLowerCase()) {
    return rejectHost(':authority and host differ');
  }
  return parseAuthority(text) ?? rejectHost(':authority is no host');
}

/** A body of unknown length becomes chunks for a pod of HTTP/1.1. */
function framingOf({ length }: Said, isWhole: boolean): RequestFraming {
  if (length !== undefined) return { kind: 'length', length };
  return isWhole ? noBody : chunked;
}

/** The lines as HTTP/1.1 has them: Host, one Cookie, and no pseudo fields. */
function linesOf(
  fields: readonly DecodedField[],
  { cookie }: Said,
  authority: string,
): FieldLines {
  const lines = new FieldLines();
  let hasCookie = false;
  lines.add('host', authority);
  for (const { name, value, rule, isSensitive } of fields) {
    if (isSensitive) lines.neverIndex(name);
    if (rule !== fieldRule.ordinary && rule < fieldRule.contentLength) continue;
    if (rule === fieldRule.host) continue;
    if (name !== 'cookie') lines.add(name, value);
    else if (!hasCookie) {
      hasCookie = true;
      lines.add(name, cookie ?? value);
    }
  }
  return lines;
}
