// A strict reader of DER (X.690 §8, §10, §11), for bytes of unknown peers: definite lengths in
// their one shortest form, low tag numbers, a bounded depth and number of values, no bytes left
// over. It knows the shape of every universal type that it meets, and nothing of certificates.
//
// No exceptions: the first fault is kept in a `Trail`, every later step reads an empty value, and
// who started the reading looks at the trail once, at the end.

/** One value; `children` is empty for primitive ones. */
export type DerNode = {
  /** Identifier octet: class, constructed bit and tag number. */
  readonly tag: number;
  readonly content: Uint8Array;
  /** Identifier, length and content: what hashes and signatures cover. */
  readonly whole: Uint8Array;
  readonly children: readonly DerNode[];
};

/** The first fault of a reading; `undefined` while all is well. */
export type Trail = { fault: string | undefined };

/** Certificates nest 8 deep; a name with many parts has some hundred values. */
const depthMax = 12;
const nodesMax = 2_000;

export const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  nothing: 0x05,
  objectId: 0x06,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

const noBytes = new Uint8Array(0);
const emptyNode: DerNode = { tag: 0, content: noBytes, whole: noBytes, children: [] };

type Reading = { readonly bytes: Uint8Array; readonly trail: Trail; nodes: number };

export function newTrail(): Trail {
  return { fault: undefined };
}

/** Keeps `what` as the fault unless there is one already. */
export function mark(trail: Trail, what: string): void {
  trail.fault ??= what;
}

/** The one value that `bytes` are. */
export function readDer(bytes: Uint8Array, trail: Trail): DerNode {
  const reading: Reading = { bytes, trail, nodes: 0 };
  const node = readNode(reading, 0, bytes.length, 0);
  if (trail.fault === undefined && node.whole.length !== bytes.length) {
    mark(trail, `bytes after the end, at ${node.whole.length}`);
  }
  return trail.fault === undefined ? node : emptyNode;
}

function readNode(reading: Reading, start: number, end: number, depth: number): DerNode {
  const { bytes, trail } = reading;
  reading.nodes += 1;
  if (reading.nodes > nodesMax) mark(trail, `more than ${nodesMax} values`);
  if (depth > depthMax) mark(trail, `more than ${depthMax} levels`);
  const tag = bytes[start] ?? 0;
  if ((tag & 0x1f) === 0x1f || tag === 0) mark(trail, `tag out of range at ${start}`);
  const { from, length } = readLength(reading, start + 1, end);
  if (from + length > end) mark(trail, `truncated at ${start}`);
  if (trail.fault !== undefined) return emptyNode;
  const content = bytes.subarray(from, from + length);
  checkShape(tag, content, trail, start);
  const children = (tag & 0x20) === 0 ? [] : readChildren(reading, from, from + length, depth + 1);
  if (tag === tags.set) checkOrder(children, trail);
  return { tag, content, whole: bytes.subarray(start, from + length), children };
}

function readChildren(reading: Reading, from: number, end: number, depth: number): DerNode[] {
  const children: DerNode[] = [];
  for (let at = from; at < end && reading.trail.fault === undefined; ) {
    const child = readNode(reading, at, end, depth);
    children.push(child);
    at += child.whole.length;
  }
  return children;
}

/** X.690 §8.1.3, §10.1: definite, and as short as can be; three bytes are 16 MB. */
function readLength(
  reading: Reading,
  at: number,
  end: number,
): { readonly from: number; readonly length: number } {
  const { bytes, trail } = reading;
  const first = bytes[at] ?? 0;
  if (first < 0x80) return { from: at + 1, length: first };
  const count = first & 0x7f;
  if (count === 0) mark(trail, `indefinite length at ${at}`);
  if (count > 3) mark(trail, `length too long at ${at}`);
  if (at + 1 + count > end) mark(trail, `truncated at ${at}`);
  if (trail.fault !== undefined) return { from: at, length: 0 };
  let length = 0;
  for (const byte of bytes.subarray(at + 1, at + 1 + count)) length = length * 256 + byte;
  if (length < 0x80 || bytes[at + 1] === 0) mark(trail, `length not minimal at ${at}`);
  return { from: at + 1 + count, length };
}

/** What X.690 says of the content of universal types; SEQUENCE and SET alone are constructed. */
function checkShape(tag: number, content: Uint8Array, trail: Trail, at: number): void {
  if (tag >= 0x40) return;
  const isStructure = (tag & 0x1f) === 0x10 || (tag & 0x1f) === 0x11;
  if (isStructure !== ((tag & 0x20) !== 0)) mark(trail, `constructed or not, at ${at}`);
  if (!isWellFormed(tag, content)) mark(trail, `content of tag ${tag} at ${at}`);
}

function isWellFormed(tag: number, content: Uint8Array): boolean {
  const [first = 0, second = 0] = content;
  switch (tag) {
    case tags.boolean:
      return content.length === 1 && (first === 0 || first === 0xff);
    case tags.integer:
      return content.length === 1 || (content.length > 1 && !isPadded(first, second));
    case tags.bitString:
      return isBitString(content, first);
    case tags.nothing:
      return content.length === 0;
    case tags.objectId:
      return isObjectId(content);
    default:
      return true;
  }
}

/** X.690 §8.3.2: the first nine bits are not all alike. */
function isPadded(first: number, second: number): boolean {
  return (first === 0 && second < 0x80) || (first === 0xff && second >= 0x80);
}

/** X.690 §11.2.1: at most seven unused bits, and those are zero. */
function isBitString(content: Uint8Array, unusedBits: number): boolean {
  if (content.length === 0 || unusedBits > 7) return false;
  if (content.length === 1) return unusedBits === 0;
  return ((content.at(-1) ?? 0) & ((1 << unusedBits) - 1)) === 0;
}

/** X.690 §8.19: arcs in their shortest form, the last one complete; arcs of up to 49 bits. */
function isObjectId(content: Uint8Array): boolean {
  let arcBytes = 0;
  for (const byte of content) {
    if (arcBytes === 0 && byte === 0x80) return false;
    arcBytes = byte >= 0x80 ? arcBytes + 1 : 0;
    if (arcBytes > 6) return false;
  }
  return content.length > 0 && arcBytes === 0;
}

/** X.690 §11.6: the values of a SET OF ascend. */
function checkOrder(children: readonly DerNode[], trail: Trail): void {
  for (const [index, child] of children.entries()) {
    const before = children[index - 1];
    if (before !== undefined && Buffer.compare(before.whole, child.whole) > 0) {
      mark(trail, 'a set out of order');
    }
  }
}

/** A place among the children of a value. */
export type Cursor = {
  readonly nodes: readonly DerNode[];
  readonly trail: Trail;
  readonly what: string;
  next: number;
};

/** Starts at the first child of `node`; `what` names it in faults. */
export function inside(node: DerNode, trail: Trail, what: string): Cursor {
  return { nodes: node.children, trail, what, next: 0 };
}

/** Starts at the first value of the SEQUENCE that `bytes` are. */
export function insideSequence(bytes: Uint8Array, trail: Trail, what: string): Cursor {
  const node = readDer(bytes, trail);
  if (node.tag !== tags.sequence) mark(trail, `${what}: no sequence`);
  return inside(node, trail, what);
}

/** The next value if it has `tag`. */
export function takeOptional(cursor: Cursor, tag: number): DerNode | undefined {
  const node = cursor.nodes[cursor.next];
  if (node?.tag !== tag || cursor.trail.fault !== undefined) return undefined;
  cursor.next += 1;
  return node;
}

/** The next value, which has to have `tag`. */
export function take(cursor: Cursor, tag: number): DerNode {
  const node = takeOptional(cursor, tag);
  if (node === undefined) mark(cursor.trail, `${cursor.what}: no value with tag ${tag}`);
  return node ?? emptyNode;
}

/** The bytes of a BIT STRING that holds whole bytes, as every signature does. */
export function takeWholeBits(cursor: Cursor): Uint8Array {
  const { content } = take(cursor, tags.bitString);
  if (content[0] !== 0) mark(cursor.trail, `${cursor.what}: bits that are no whole bytes`);
  return content.subarray(1);
}

/** The next value, whatever it is; `undefined` at the end. */
export function takeAny(cursor: Cursor): DerNode | undefined {
  const node = cursor.trail.fault === undefined ? cursor.nodes[cursor.next] : undefined;
  if (node !== undefined) cursor.next += 1;
  return node;
}

/** Says that nothing may follow. */
export function end(cursor: Cursor): void {
  if (cursor.next < cursor.nodes.length) mark(cursor.trail, `${cursor.what}: a value too many`);
}

/** `1.2.840.…` of an OBJECT IDENTIFIER's content, which the reader has found well formed. */
export function dotted(content: Uint8Array): string {
  const arcs: number[] = [];
  let arc = 0;
  for (const byte of content) {
    arc = arc * 128 + (byte & 0x7f);
    if (byte >= 0x80) continue;
    // The first two arcs are one number: 40 times the first (at most 2), plus the second.
    const first = Math.min(2, Math.floor(arc / 40));
    arcs.push(...(arcs.length === 0 ? [first, arc - 40 * first] : [arc]));
    arc = 0;
  }
  return arcs.join('.');
}
