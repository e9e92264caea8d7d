// PEM armour (RFC 7468 §2, read in its strict form): what `node:tls` and Kubernetes objects carry.
// Reading is bounded and takes blocks of one label only, with nothing but line ends around them:
// what one reader skips as comment another may take for a block.
import { refused } from './refusal.ts';
import type { Refused } from './refusal.ts';

export type PemLimits = {
  readonly label: string;
  readonly bytesMax: number;
  readonly blocksMax: number;
};

export type PemRefusal = 'TooLarge' | 'Malformed';

export type PemReading =
  | { readonly kind: 'blocks'; readonly blocks: readonly Uint8Array[] }
  | Refused<PemRefusal>;

/** `der` between BEGIN and END lines, 64 characters a line, with a final line feed. */
export function pemOf(der: Uint8Array, label: string): string {
  const text = Buffer.from(der.buffer, der.byteOffset, der.byteLength).toString('base64');
  const lines: string[] = [];
  for (let start = 0; start < text.length; start += 64) lines.push(text.slice(start, start + 64));
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

/** The blocks of `text`, at least one. */
export function readPem(text: string, limits: PemLimits): PemReading {
  if (text.length > limits.bytesMax) {
    return refused('TooLarge', `longer than ${limits.bytesMax} bytes`);
  }
  const begin = `-----BEGIN ${limits.label}-----`;
  const finish = `-----END ${limits.label}-----`;
  const blocks: Uint8Array[] = [];
  let open: string[] | undefined;
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const place = `line ${index + 1}`;
    if (open === undefined) {
      if (line === begin) open = [];
      else if (line !== '') return refused('Malformed', `${place} is no ${begin}`);
      continue;
    }
    if (line !== finish) {
      open.push(line);
      continue;
    }
    const block = decodeBase64(open.join(''));
    if (block === undefined) return refused('Malformed', `the block before ${place} is no base64`);
    blocks.push(block);
    if (blocks.length > limits.blocksMax) {
      return refused('TooLarge', `more than ${limits.blocksMax} blocks`);
    }
    open = undefined;
  }
  if (open !== undefined) return refused('Malformed', `a block without ${finish}`);
  return blocks.length === 0 ? refused('Malformed', `no ${begin}`) : { kind: 'blocks', blocks };
}

/** Base64 in its one form (RFC 4648 §3.5): Node would take spaces, URL letters and half bytes. */
function decodeBase64(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.length > 0 && bytes.toString('base64') === text ? bytes : undefined;
}
