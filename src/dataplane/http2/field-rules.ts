// What one field line of HTTP/2 is, whatever message it stands in (RFC 9113 section 8.2): a pseudo
// field, an ordinary one, one that is about the connection and must not be here, or malformed. It
// is found once per line that a decoder makes; lines out of its table keep what was found.
import { tokenBytes, valueBytes } from '../http1/bytes.ts';

/** Numbers, because messages are judged by them field by field. */
export const fieldRule = {
  ordinary: 0,
  method: 1,
  scheme: 2,
  authority: 3,
  path: 4,
  status: 5,
  /** Only with SETTINGS_ENABLE_CONNECT_PROTOCOL, which we never send (RFC 8441). */
  protocol: 6,
  contentLength: 7,
  te: 8,
  host: 9,
  /** Connection-specific (RFC 9113 section 8.2.2). */
  forbidden: 10,
  malformed: 11,
} as const;

/** The largest rule of a pseudo field; all of them are from 1 on. */
export const lastPseudo = fieldRule.protocol;

const namedRules: ReadonlyMap<string, number> = new Map<string, number>([
  [':method', fieldRule.method],
  [':scheme', fieldRule.scheme],
  [':authority', fieldRule.authority],
  [':path', fieldRule.path],
  [':status', fieldRule.status],
  [':protocol', fieldRule.protocol],
  ['content-length', fieldRule.contentLength],
  ['te', fieldRule.te],
  ['host', fieldRule.host],
  ['connection', fieldRule.forbidden],
  ['keep-alive', fieldRule.forbidden],
  ['proxy-connection', fieldRule.forbidden],
  ['transfer-encoding', fieldRule.forbidden],
  ['upgrade', fieldRule.forbidden],
]);

export function ruleOf(name: string, value: string): number {
  if (!isFieldText(value)) return fieldRule.malformed;
  const rule = namedRules.get(name);
  if (rule !== undefined) return rule;
  return isLowerName(name) ? fieldRule.ordinary : fieldRule.malformed;
}

/** A token without upper-case letters. */
function isLowerName(name: string): boolean {
  if (name === '') return false;
  for (let at = 0; at < name.length; at += 1) {
    const code = name.charCodeAt(at);
    if (tokenBytes[code] !== 1 || (code >= 0x41 && code <= 0x5a)) return false;
  }
  return true;
}

/** No control bytes, and no white space at either end (RFC 9113 section 8.2.1). */
function isFieldText(value: string): boolean {
  for (let at = 0; at < value.length; at += 1) {
    if (valueBytes[value.charCodeAt(at)] !== 1) return false;
  }
  return !isWhitespace(value.charCodeAt(0)) && !isWhitespace(value.charCodeAt(value.length - 1));
}

function isWhitespace(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
