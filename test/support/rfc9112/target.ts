// Request target (RFC 9112 3.2) and Host (RFC 9110 7.2), by their forms, for the reference parser
// of the differential fuzz.
import {
  absolutePath,
  hostAndPort,
  ipLiteral,
  pathAbempty,
  query,
  scheme,
  whole,
} from './grammar.ts';
import type { Notes } from './notes.ts';
import { reject, valuesOf } from './stream.ts';
import type { RfcField } from './stream.ts';

export type RfcTarget = {
  /** What a proxy sends on. */
  readonly target: string;
  /** Of absolute-form: it replaces Host (3.2.2). */
  readonly hostname: string | undefined;
};

const originForm = whole(`${absolutePath}(?:\\?${query})?`);
const pathAndQuery = whole(`${pathAbempty}(?:\\?${query})?`);
const absoluteForm = new RegExp(`^(${scheme})://([^/?#]*)([^#]*)$`);
const visible = /^[\x21\x22\x24-\x7e]*$/;

export function readTarget(method: string, text: string, notes: Notes): RfcTarget {
  if (method === 'CONNECT' || method === 'TRACE') notes.add('method that is not forwarded');
  if (method.length > 64) notes.add('method of more than 64 bytes');
  if (method === 'CONNECT') return { target: text, hostname: undefined };
  if (text === '*') {
    if (method !== 'OPTIONS') reject('asterisk-form is for OPTIONS');
    return { target: '*', hostname: undefined };
  }
  if (text.startsWith('/')) {
    checkPath(text, originForm, notes);
    return { target: text, hostname: undefined };
  }
  const [, name, authority = '', rest = ''] = absoluteForm.exec(text) ?? [];
  if (name === undefined) reject('target of no form');
  if (name.toLowerCase() !== 'http') notes.add('scheme other than http');
  checkPath(rest, pathAndQuery, notes);
  const hostname = readHost(authority, notes);
  if (hostname === '') reject('an http URI has a host');
  if (rest === '' && method === 'OPTIONS') return { target: '*', hostname };
  return { target: rest.startsWith('/') ? rest : `/${rest}`, hostname };
}

function checkPath(text: string, form: RegExp, notes: Notes): void {
  if (!form.test(text)) {
    if (!visible.test(text)) reject('bytes that are in no target');
    notes.add('target beyond RFC 3986');
  }
  const [path = ''] = text.split('?');
  if (isAmbiguous(path)) notes.add('ambiguous path');
}

/** As the most obliging server reads it: escapes decoded once, `\` as `/`, `;…` not counted. */
function isAmbiguous(path: string): boolean {
  if (path.includes('\\') || /%(?![0-9A-Fa-f]{2})/.test(path)) return true;
  const decoded = path.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  if (/[\x00-\x1f\x7f]/.test(decoded)) return true;
  const segments = decoded.replaceAll('\\', '/').split('/');
  return segments.some((segment) => /^\.\.?(;|$)/.test(segment));
}

const host = whole(hostAndPort);
const plainHost = whole(`[A-Za-z0-9\\-._~]+|${ipLiteral}`);

/** The name alone, as it is looked up. */
export function readHost(text: string, notes: Notes): string {
  const [, name, port = ''] = host.exec(text) ?? [];
  if (name === undefined) reject('no host');
  if (!plainHost.test(name) || name === '.') notes.add('host that is no plain name');
  if (port.length > 5 || Number(port) > 65_535) notes.add('port out of range');
  return name.toLowerCase().replace(/\.$/, '');
}

/** RFC 9112 3.2: exactly one in HTTP/1.1, whatever the target says. */
export function hostnameOf(
  fields: readonly RfcField[],
  { target, minor }: { readonly target: RfcTarget; readonly minor: string },
  notes: Notes,
): string {
  const [value, ...more] = valuesOf(fields, 'host');
  if (more.length > 0) reject('several Host fields');
  if (value === undefined) {
    if (minor !== '0') reject('no Host field');
    if (target.hostname === undefined) notes.add('HTTP/1.0 without Host');
    return target.hostname ?? '';
  }
  const said = readHost(value, notes);
  return target.hostname ?? said;
}
