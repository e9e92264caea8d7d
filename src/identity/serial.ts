// Serial numbers of certificates (RFC 5280 §4.1.2.2): positive, at most 20 bytes, and one way to
// write them in logs and metrics.

const serialBytesMax = 20;

/** Whether the content of an INTEGER is a serial number. */
export function isSerial(content: Uint8Array): boolean {
  const isNegative = (content[0] ?? 0) >= 0x80;
  return !isNegative && content.length <= serialBytesMax && content.some((byte) => byte !== 0);
}

/** Hex without the zero that keeps a number with a high first bit positive, as OpenSSL has it. */
export function serialText(content: Uint8Array): string {
  const digits = Buffer.from(content).toString('hex');
  return digits.length > 2 && digits.startsWith('00') ? digits.slice(2) : digits;
}
