// Datagrams on a byte stream: DATAGRAM capsules (RFC 9297 section 3.5) whose payload is a context
// and a UDP payload, as RFC 9298 has it (section 5: context 0 is the datagram itself). Incremental
// and linear in the bytes that come, however they are cut. Capsules of other types and datagrams of
// other contexts are passed over, as both RFCs ask, without being held.
// Invariant: no more than one datagram is held, and no byte of an announced length before it came.

/** The longest UDP payload that there is, of IPv6. */
export const datagramBytesMax = 65_527;

const datagramType = 0;
const datagramContext = 0;
/** Type and length, each of at most eight bytes (RFC 9000 section 16). */
const headBytesMax = 16;

/** A capsule with this datagram. */
export function renderDatagram(data: Uint8Array): Buffer {
  const length = data.length + 1;
  const lengthBytes = length < 64 ? 1 : length < 16_384 ? 2 : 4;
  const capsule = Buffer.allocUnsafe(1 + lengthBytes + length);
  capsule[0] = datagramType;
  if (lengthBytes === 1) capsule[1] = length;
  else if (lengthBytes === 2) capsule.writeUInt16BE(length | 0x4000, 1);
  else capsule.writeUInt32BE(length + 0x8000_0000, 1);
  capsule[1 + lengthBytes] = datagramContext;
  capsule.set(data, 2 + lengthBytes);
  return capsule;
}

export class CapsuleReader {
  /** Takes datagrams; the bytes are its own. */
  readonly #received: (data: Buffer) => void;
  readonly #head = Buffer.alloc(headBytesMax);
  #headBytes = 0;
  /** Value of a capsule with a datagram, filled so far. */
  #value: Buffer | undefined;
  #filled = 0;
  /** Bytes of a capsule that is passed over. */
  #left = 0;

  constructor(received: (data: Buffer) => void) {
    this.#received = received;
  }

  /** False: what came is not of this form, and nothing after it can be read. */
  read(bytes: Buffer): boolean {
    let at = 0;
    while (at < bytes.length) {
      if (this.#value !== undefined) at = this.#fill(this.#value, bytes, at);
      else if (this.#left > 0) at = this.#skip(bytes, at);
      else {
        this.#head[this.#headBytes] = bytes[at] ?? 0;
        this.#headBytes += 1;
        at += 1;
        if (!this.#begin()) return false;
      }
    }
    return true;
  }

  #fill(value: Buffer, bytes: Buffer, at: number): number {
    const count = Math.min(value.length - this.#filled, bytes.length - at);
    bytes.copy(value, this.#filled, at, at + count);
    this.#filled += count;
    if (this.#filled === value.length) this.#take(value);
    return at + count;
  }

  #take(value: Buffer): void {
    this.#value = undefined;
    this.#filled = 0;
    // Other contexts are extensions that nobody has agreed on; theirs never begin with a zero byte.
    if (value[0] === datagramContext) this.#received(value.subarray(1));
  }

  #skip(bytes: Buffer, at: number): number {
    const count = Math.min(this.#left, bytes.length - at);
    this.#left -= count;
    return at + count;
  }

  /** Looks whether type and length are whole; false: the capsule is too long. */
  #begin(): boolean {
    const head = this.#head.subarray(0, this.#headBytes);
    const typeBytes = integerBytes(head[0] ?? 0);
    if (head.length <= typeBytes) return true;
    const allBytes = typeBytes + integerBytes(head[typeBytes] ?? 0);
    if (head.length < allBytes) return true;
    this.#headBytes = 0;
    const length = integerAt(head, typeBytes);
    if (length > Number.MAX_SAFE_INTEGER) return false;
    if (integerAt(head, 0) !== datagramType) {
      this.#left = Number(length);
      return true;
    }
    if (length > datagramBytesMax + 1) return false;
    // Without even a context it is no datagram of this kind.
    if (length > 0) this.#value = Buffer.allocUnsafe(Number(length));
    return true;
  }
}

/** How many bytes an integer takes that begins with this one (RFC 9000 section 16). */
function integerBytes(first: number): number {
  return 1 << (first >> 6);
}

function integerAt(bytes: Buffer, at: number): number {
  const count = integerBytes(bytes[at] ?? 0);
  let value = (bytes[at] ?? 0) & 0x3f;
  for (let index = 1; index < count; index += 1) value = value * 256 + (bytes[at + index] ?? 0);
  return value;
}
