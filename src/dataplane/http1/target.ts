// The request target (RFC 9112 section 3.2) and the judgement of its path. The path that is matched
// is byte for byte the path that is forwarded, so nothing is ever normalised: what two readers
// could take for different paths is refused, everything else passes unchanged.
import { parseAuthority } from './authority.ts';
import type { Authority } from './authority.ts';
import { hexValues } from './bytes.ts';
import { backslash, dot, percent, semicolon, slash } from './bytes.ts';
import { rejectHost, rejectSyntax, rejectUnsupported } from './reject.ts';
import type { Reject } from './reject.ts';

export type RequestTarget = {
  readonly kind: 'target';
  /** origin-form or `*`, as forwarded. */
  readonly target: string;
  readonly path: string;
  readonly query: string | undefined;
  /** Of an absolute-form target: it replaces Host (RFC 9112 section 3.2.2). */
  readonly authority: Authority | undefined;
  readonly hasEncodedSlash: boolean;
};

/** The target of a request with this method. */
export function parseTarget(method: string, raw: string): RequestTarget | Reject {
  // A tunnel through the mesh has a port and rules of its own; here CONNECT would open one for
  // anybody. TRACE would reflect credentials (RFC 9110 section 9.3.8).
  if (method === 'CONNECT' || method === 'TRACE') {
    return rejectUnsupported(501, `method ${method} is not forwarded`);
  }
  if (raw.charCodeAt(0) === slash) return parseOriginForm(raw, undefined);
  if (raw === '*') {
    if (method !== 'OPTIONS') return rejectSyntax('target * is for OPTIONS only');
    return asteriskTarget(undefined);
  }
  return parseAbsoluteForm(method, raw);
}

const httpScheme = 'http://';

function parseAbsoluteForm(method: string, raw: string): RequestTarget | Reject {
  if (raw.slice(0, httpScheme.length).toLowerCase() !== httpScheme) {
    return rejectSyntax('target is neither a path nor an http URI');
  }
  const authorityEnd = endOfAuthority(raw, httpScheme.length);
  const authority = parseAuthority(raw.slice(httpScheme.length, authorityEnd));
  if (authority === undefined) return rejectHost('authority of the target is no host');
  const rest = raw.slice(authorityEnd);
  if (rest === '' && method === 'OPTIONS') return asteriskTarget(authority);
  return parseOriginForm(rest.startsWith('/') ? rest : `/${rest}`, authority);
}

function endOfAuthority(raw: string, from: number): number {
  let at = from;
  while (at < raw.length && raw[at] !== '/' && raw[at] !== '?') at += 1;
  return at;
}

function asteriskTarget(authority: Authority | undefined): RequestTarget {
  const path = '*';
  return {
    kind: 'target',
    target: path,
    path,
    query: undefined,
    authority,
    hasEncodedSlash: false,
  };
}

function parseOriginForm(target: string, authority: Authority | undefined): RequestTarget | Reject {
  const queryAt = target.indexOf('?');
  const path = queryAt < 0 ? target : target.slice(0, queryAt);
  const query = queryAt < 0 ? undefined : target.slice(queryAt + 1);
  let hasEncodedSlash = false;
  // Plain paths are by far the most, and these three searches are native.
  if (path.includes('%') || path.includes('\\') || path.includes('/.')) {
    const verdict = judgePath(path);
    if (verdict === 'ambiguous-slash') hasEncodedSlash = true;
    else if (verdict !== 'plain') return rejectSyntax(verdict);
  }
  return { kind: 'target', target, path, query, authority, hasEncodedSlash };
}

type PathVerdict =
  | 'plain'
  | 'ambiguous-slash'
  | 'dot segment in the path'
  | 'backslash in the path'
  | 'invalid percent escape in the path'
  | 'encoded control byte in the path';

/**
 * Reads the path as the most obliging server would: %2e, %2f, %5c and %3b decoded once (%25 is
 * never decoded twice), `;` ends what counts of a segment (Tomcat drops `;x` before it resolves
 * `..`). A segment that is then `.` or `..` makes the path ambiguous.
 */
function judgePath(path: string): PathVerdict {
  let dots = 0;
  let isOther = false;
  let isParameter = false;
  let hasEncodedSlash = false;
  for (let at = 0; at < path.length; at += 1) {
    let code = path.charCodeAt(at);
    if (code === backslash) return 'backslash in the path';
    if (code === percent) {
      code = decodeEscape(path, at);
      if (code < 0) return 'invalid percent escape in the path';
      if (code < 0x20 || code === 0x7f) return 'encoded control byte in the path';
      if (code === slash || code === backslash) hasEncodedSlash = true;
      at += 2;
    }
    if (code === slash || code === backslash) {
      if (isDotSegment(dots, isOther)) return 'dot segment in the path';
      dots = 0;
      isOther = false;
      isParameter = false;
    } else if (code === semicolon) isParameter = true;
    else if (!isParameter && code === dot) dots += 1;
    else if (!isParameter) isOther = true;
  }
  if (isDotSegment(dots, isOther)) return 'dot segment in the path';
  return hasEncodedSlash ? 'ambiguous-slash' : 'plain';
}

function isDotSegment(dots: number, isOther: boolean): boolean {
  return !isOther && (dots === 1 || dots === 2);
}

/** The byte that `%XX` at `at` stands for; -1 when it is no escape. */
function decodeEscape(path: string, at: number): number {
  const high = hexValues[path.charCodeAt(at + 1)] ?? -1;
  const low = hexValues[path.charCodeAt(at + 2)] ?? -1;
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}
