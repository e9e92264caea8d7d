// Host and the authority of an absolute-form target: `uri-host [ ":" port ]` (RFC 9110 section
// 7.2). Narrower than a URI: sub-delims and percent-encoding are legal in a reg-name, but stand in
// no name that resolves, and a comma or a space is what a smuggled second Host looks like.
import { isIPv6 } from 'node:net';

export type Authority = {
  /** As sent. */
  readonly text: string;
  /** Lower case, without port and without one trailing dot; IPv6 in its brackets. */
  readonly hostname: string;
};

const portMax = 65_535;

/** `undefined` when `text` is no authority; userinfo is none (RFC 9110 section 4.2.4). */
export function parseAuthority(text: string): Authority | undefined {
  const hostEnd = text.startsWith('[') ? text.indexOf(']') + 1 : endOfName(text);
  if (hostEnd === 0 || !isPort(text, hostEnd)) return undefined;
  const host = text.slice(0, hostEnd);
  if (host.startsWith('[')) {
    return isIPv6Literal(host) ? { text, hostname: host.toLowerCase() } : undefined;
  }
  const name = host.endsWith('.') ? host.slice(0, -1) : host;
  return name === '' ? undefined : { text, hostname: name.toLowerCase() };
}

/** Bytes of a name: ALPHA, DIGIT, `-`, `.`, `_`, `~`. */
const nameBytes = Uint8Array.from({ length: 256 }, (_, byte) =>
  /[A-Za-z0-9\-._~]/.test(String.fromCharCode(byte)) ? 1 : 0,
);

function endOfName(text: string): number {
  let at = 0;
  while (at < text.length && nameBytes[text.charCodeAt(at)] === 1) at += 1;
  return at;
}

/** Nothing, `:` or `:` and a port number (RFC 3986 section 3.2.3) stands at `from`. */
function isPort(text: string, from: number): boolean {
  if (from === text.length) return true;
  if (text[from] !== ':' || text.length - from > 6) return false;
  let port = 0;
  for (let at = from + 1; at < text.length; at += 1) {
    const digit = text.charCodeAt(at) - 0x30;
    if (digit < 0 || digit > 9) return false;
    port = port * 10 + digit;
  }
  return port <= portMax;
}

function isIPv6Literal(host: string): boolean {
  // A zone (`%eth0`) means something on the caller's machine only, and node takes it for valid.
  return host.endsWith(']') && !host.includes('%') && isIPv6(host.slice(1, -1));
}
