// The Huffman code of HPACK (RFC 7541 section 5.2, appendix B), decoded four bits at a time through
// a table that is made once from the lengths of the codes: the code is canonical, so the lengths
// say everything. Only decoding: what we send is sent raw, which costs a few bytes and no time.
import { latin1Text } from '../http1/bytes.ts';

const lengthText =
  '13 23 28*7 24 30 28*2 30 28*8 30 28*9 ' +
  '6 10 10 12 13 6 8 11 10 10 8 11 8 6 6 6 5 5 5 6*7 7 8 15 6 12 10 ' +
  '13 6 7*22 8 7 8 13 19 13 14 6 ' +
  '15 5 6 5 6 5 6 6 6 5 7 7 6 6 6 5 6 7 6 5 5 6 7*5 15 11 14 13 28 ' +
  '20 22 20 20 22 22 22 23 22 23 23 23 23 23 24 23 24 24 22 23 24 23 23 23 23 21 22 23 22 23 23 ' +
  '24 22 21 20 22 22 23 23 21 23 22 22 24 21 22 23 23 21 21 22 21 23 22 23 23 20 22 22 22 23 22 ' +
  '22 23 26 26 20 19 22 23 22 25 26 26 26 27 27 26 24 25 19 21 26 27 27 26 27 24 21 21 26 26 28 ' +
  '27 27 27 20 24 20 21 22 21 21 23 22 22 25 25 24 24 26 23 26 27 26 26 27*5 28 27*5 26 30';

/** The symbol that must not occur (RFC 7541 section 5.2). */
const endOfString = 256;

function codeLengths(): readonly number[] {
  const lengths: number[] = [];
  for (const part of lengthText.split(' ')) {
    const [length, times = '1'] = part.split('*');
    for (let count = Number(times); count > 0; count -= 1) lengths.push(Number(length));
  }
  return lengths;
}

/** A vertex of the code's tree: two numbers, each a vertex, or a symbol as `-1 - symbol`. */
type Tree = number[];

function buildTree(): Tree {
  const symbols = codeLengths()
    .map((length, symbol) => ({ length, symbol }))
    .sort((a, b) => a.length - b.length || a.symbol - b.symbol);
  const tree: Tree = [0, 0];
  let code = 0;
  let lengthBefore = 0;
  for (const { length, symbol } of symbols) {
    code *= 2 ** (length - lengthBefore);
    lengthBefore = length;
    addCode(tree, code, length, symbol);
    code += 1;
  }
  return tree;
}

function addCode(tree: Tree, code: number, length: number, symbol: number): void {
  let vertex = 0;
  for (let bit = length - 1; bit > 0; bit -= 1) {
    const at = vertex + (Math.floor(code / 2 ** bit) & 1);
    if (tree[at] === 0) tree[at] = tree.push(0, 0) - 2;
    vertex = tree[at] ?? 0;
  }
  tree[vertex + (code & 1)] = -1 - symbol;
}

const tree = buildTree();
const vertexCount = tree.length / 2;

// For each vertex and each four bits: the vertex that they lead to, and the symbol that was met on
// the way (no code has less than five bits, so there is at most one), or -1.
const nextVertex = new Uint16Array(vertexCount * 16);
const metSymbol = new Int16Array(vertexCount * 16).fill(-1);
/** Of these vertices a string may end: less than eight bits, all ones, into a code. */
const mayEnd = new Uint8Array(vertexCount);
/** No code goes on here. */
const dead = 0xffff;

function fillStep(vertex: number, bits: number): void {
  const at = vertex * 16 + bits;
  let now = vertex * 2;
  for (let bit = 3; bit >= 0; bit -= 1) {
    const next = tree[now + ((bits >> bit) & 1)] ?? 0;
    if (next >= 0) {
      now = next;
      continue;
    }
    const symbol = -1 - next;
    if (symbol === endOfString) {
      nextVertex[at] = dead;
      return;
    }
    metSymbol[at] = symbol;
    now = 0;
  }
  nextVertex[at] = now / 2;
}

for (let vertex = 0; vertex < vertexCount; vertex += 1) {
  for (let bits = 0; bits < 16; bits += 1) fillStep(vertex, bits);
}
for (let ones = 0, vertex = 0; ones < 8; ones += 1) {
  mayEnd[vertex / 2] = 1;
  vertex = tree[vertex + 1] ?? 0;
}

/** The text of `buffer[start, end)`, or undefined when that is no Huffman text. */
export function decodeHuffman(buffer: Buffer, start: number, end: number): string | undefined {
  // The shortest code has five bits.
  const decoded = Buffer.allocUnsafe(((end - start) * 8) / 5 + 1);
  let bytes = 0;
  let vertex = 0;
  for (let at = start; at < end; at += 1) {
    const byte = buffer[at] ?? 0;
    for (let shift = 4; shift >= 0; shift -= 4) {
      const step = vertex * 16 + ((byte >> shift) & 15);
      vertex = nextVertex[step] ?? dead;
      if (vertex === dead) return undefined;
      const symbol = metSymbol[step] ?? -1;
      if (symbol < 0) continue;
      decoded[bytes] = symbol;
      bytes += 1;
    }
  }
  return mayEnd[vertex] === 1 ? latin1Text(decoded, 0, bytes) : undefined;
}
