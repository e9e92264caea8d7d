// IP addresses as the 4 or 16 bytes that a certificate's iPAddress name holds (RFC 5280 §4.2.1.6).
// Text forms: dotted quad, and RFC 4291 §2.2 with `::` and an embedded quad; no zone, no prefix.

/** The bytes of `text`, or `undefined` when it is no address. */
export function addressBytes(text: string): Uint8Array | undefined {
  const bytes = text.includes(':') ? ipv6Bytes(text) : ipv4Bytes(text);
  return bytes === undefined ? undefined : Uint8Array.from(bytes);
}

function ipv4Bytes(text: string): number[] | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  const bytes: number[] = [];
  for (const part of parts) {
    // A leading zero reads as octal elsewhere; it is refused rather than guessed.
    if (!/^(?:0|[1-9][0-9]{0,2})$/.test(part) || Number(part) > 255) return undefined;
    bytes.push(Number(part));
  }
  return bytes;
}

function ipv6Bytes(text: string): number[] | undefined {
  const halves = text.split('::');
  const [head, tail] = halves;
  if (head === undefined || halves.length > 2) return undefined;
  const front = groupBytes(head, tail === undefined);
  if (tail === undefined) return front?.length === 16 ? front : undefined;
  const back = groupBytes(tail, true);
  if (front === undefined || back === undefined) return undefined;
  const missing = 16 - front.length - back.length;
  return missing < 2 ? undefined : [...front, ...new Array<number>(missing).fill(0), ...back];
}

/** Bytes of colon-separated groups; only the last part of an address may be a dotted quad. */
function groupBytes(text: string, isLastPart: boolean): number[] | undefined {
  if (text === '') return [];
  const groups = text.split(':');
  const bytes: number[] = [];
  for (const [index, group] of groups.entries()) {
    if (group.includes('.') && isLastPart && index === groups.length - 1) {
      const quad = ipv4Bytes(group);
      if (quad === undefined) return undefined;
      bytes.push(...quad);
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(group)) return undefined;
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
    }
  }
  return bytes;
}
