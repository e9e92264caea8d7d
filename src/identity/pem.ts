// PEM armour (RFC 7468 §2, strict form): what `node:tls` and Kubernetes objects carry.
// Only written here; node:crypto reads it.

/** `der` between BEGIN and END lines, 64 characters a line, with a final line feed. */
export function pemOf(der: Uint8Array, label: string): string {
  const text = Buffer.from(der.buffer, der.byteOffset, der.byteLength).toString('base64');
  const lines: string[] = [];
  for (let start = 0; start < text.length; start += 64) lines.push(text.slice(start, start + 64));
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
