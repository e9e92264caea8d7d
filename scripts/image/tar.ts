// Tar archives that depend on nothing but their entries: sorted by path, owner 0:0, modification
// time 0, POSIX.1-1988 ustar headers. The reader takes what other tools write too (pax and GNU long
// names), because a base archive comes from them. Not a general tar: no devices, no hard links.
// Invariant: the same entries in any order give the same bytes.

export type TarEntry =
  | TarFile
  | { readonly kind: 'directory'; readonly path: string; readonly mode: number }
  | { readonly kind: 'link'; readonly path: string; readonly target: string };

export type TarFile = {
  readonly kind: 'file';
  readonly path: string;
  readonly mode: number;
  /** In pieces, so that an archive within an archive is never copied. */
  readonly content: readonly Bytes[];
};

export type Bytes = Uint8Array;

const blockBytes = 512;
/** ustar: 12 octal digits and a NUL end at 8 GiB; nothing of ours comes near. */
const sizeMax = 8 ** 11 - 1;

/** The archive in pieces: the files' own, and what is between them. */
export function writeTar(entries: readonly TarEntry[]): readonly Bytes[] {
  const sorted = entries.toSorted((left, right) => (left.path < right.path ? -1 : 1));
  const pieces = sorted.flatMap((entry, index) => {
    if (entry.path === sorted[index + 1]?.path) throw new Error(`${entry.path} is there twice`);
    if (entry.kind !== 'file') return [headerOf(entry)];
    return [headerOf(entry), ...entry.content, zeros(padding(sizeOf(entry)))];
  });
  // Two empty blocks end an archive.
  return [...pieces, zeros(2 * blockBytes)].filter((piece) => piece.length > 0);
}

export function sizeOf({ content }: TarFile): number {
  return content.reduce((total, piece) => total + piece.length, 0);
}

const types = { file: '0', directory: '5', link: '2' } as const;

function headerOf(entry: TarEntry): Bytes {
  const header = Buffer.alloc(blockBytes);
  const { name, prefix } = splitPath(entry.kind === 'directory' ? `${entry.path}/` : entry.path);
  const size = entry.kind === 'file' ? sizeOf(entry) : 0;
  if (size > sizeMax) throw new Error(`${entry.path} is too large for a tar archive`);
  header.write(name, 0, 100, 'utf8');
  header.write(octal(entry.kind === 'link' ? 0o777 : entry.mode, 8), 100);
  header.write(octal(0, 8), 108);
  header.write(octal(0, 8), 116);
  header.write(octal(size, 12), 124);
  header.write(octal(0, 12), 136);
  header.write(' '.repeat(8), 148);
  header.write(types[entry.kind], 156);
  if (entry.kind === 'link') header.write(fitting(entry.target, 100), 157);
  header.write('ustar\u000000', 257);
  header.write(prefix, 345, 155, 'utf8');
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\u0000 `, 148);
  return header;
}

/** ustar keeps 100 bytes of name and up to 155 of directories before it. */
function splitPath(path: string): { readonly name: string; readonly prefix: string } {
  if (Buffer.byteLength(path) <= 100) return { name: path, prefix: '' };
  for (let cut = path.indexOf('/'); cut > 0; cut = path.indexOf('/', cut + 1)) {
    const [prefix, name] = [path.slice(0, cut), path.slice(cut + 1)];
    if (name !== '' && Buffer.byteLength(name) <= 100 && Buffer.byteLength(prefix) <= 155) {
      return { name, prefix };
    }
  }
  throw new Error(`${path} is too long for a tar archive`);
}

function fitting(text: string, bytesMax: number): string {
  if (Buffer.byteLength(text) > bytesMax) throw new Error(`${text} is too long for a tar archive`);
  return text;
}

function octal(value: number, width: number): string {
  return `${value.toString(8).padStart(width - 1, '0')}\u0000`;
}

function padding(size: number): number {
  return (blockBytes - (size % blockBytes)) % blockBytes;
}

function zeros(count: number): Bytes {
  return new Uint8Array(count);
}

/** Entries in the order of the archive; throws on what is no tar archive. */
export function readTar(archive: Bytes): readonly TarEntry[] {
  const entries: TarEntry[] = [];
  let longName: string | undefined;
  for (let offset = 0; offset + blockBytes <= archive.length; ) {
    const header = Buffer.from(archive.subarray(offset, offset + blockBytes));
    if (header.every((byte) => byte === 0)) break;
    const size = sizeAt(header, offset);
    const content = archive.subarray(offset + blockBytes, offset + blockBytes + size);
    if (content.length < size) throw new Error(`the archive ends within entry ${nameAt(header)}`);
    offset += blockBytes + size + padding(size);
    const type = header.toString('latin1', 156, 157);
    if (type === 'L') longName = textOf(Buffer.from(content));
    else if (type === 'x') longName = paxPath(Buffer.from(content).toString('utf8'));
    else if (type !== 'g') {
      const entry = entryOf(header, { type, path: longName ?? nameAt(header), content });
      if (entry !== undefined) entries.push(entry);
      longName = undefined;
    }
  }
  return entries;
}

type Found = { readonly type: string; readonly path: string; readonly content: Bytes };

/** Devices and hard links are left out: no archive of an image holds any outside its layers. */
function entryOf(header: Buffer, { type, path, content }: Found): TarEntry | undefined {
  const clean = path.replace(/^\.\//, '').replace(/\/$/, '');
  const mode = Number.parseInt(textOf(header.subarray(100, 108)), 8) & 0o7777;
  if (type === '0' || type === '\u0000') {
    return { kind: 'file', path: clean, mode, content: [content] };
  }
  if (type === '5') return { kind: 'directory', path: clean, mode };
  const target = textOf(header.subarray(157, 257));
  return type === '2' ? { kind: 'link', path: clean, target } : undefined;
}

function sizeAt(header: Buffer, offset: number): number {
  const told = Number.parseInt(textOf(header.subarray(148, 156)), 8);
  const blank = Buffer.from(header).fill(' ', 148, 156);
  const sum = blank.reduce((total, byte) => total + byte, 0);
  if (sum !== told) throw new Error(`no tar archive: the header at byte ${offset} is damaged`);
  return Number.parseInt(textOf(header.subarray(124, 136)), 8);
}

function nameAt(header: Buffer): string {
  const prefix = textOf(header.subarray(345, 500));
  const isUstar = header.toString('latin1', 257, 262) === 'ustar';
  const name = textOf(header.subarray(0, 100));
  return isUstar && prefix !== '' ? `${prefix}/${name}` : name;
}

function textOf(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString('utf8', 0, end < 0 ? bytes.length : end).trim();
}

/** `<length> path=<path>\n` among the records of a pax header. */
function paxPath(records: string): string | undefined {
  return /(?:^|\n)\d+ path=([^\n]*)\n/.exec(records)?.[1];
}
