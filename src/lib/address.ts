// IP addresses in one spelling, so that they can be keys of tables: IPv4 as dotted decimals,
// IPv6 as RFC 5952 says, IPv4-mapped IPv6 (`::ffff:10.1.2.3`, what a dual-stack socket shows) as
// IPv4. Strict on purpose: `010.1.2.3`, `1.2.3` and zones (`fe80::1%eth0`) are no addresses
// here, because an address decides who somebody is.

const byte = '(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])';
/** As `parseIpv4` reads it, in one go: each accepted connection asks. */
const ipv4 = new RegExp(`^(?:${byte}\\.){3}${byte}$`);

/** The canonical spelling of an IP address, or `undefined` for anything else. */
export function normaliseAddress(text: string): string | undefined {
  if (text.length > 45) return undefined;
  if (!text.includes(':')) return ipv4.test(text) ? text : undefined;
  const groups = parseIpv6(text);
  if (groups === undefined) return undefined;
  return isMapped(groups) ? mappedIpv4(groups) : renderIpv6(groups);
}

/** 'IPv4' or 'IPv6' of an address that `normaliseAddress` returned. */
export function addressFamily(normalised: string): 'IPv4' | 'IPv6' {
  return normalised.includes(':') ? 'IPv6' : 'IPv4';
}

function parseIpv4(text: string): readonly number[] | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  const bytes: number[] = [];
  for (const part of parts) {
    if (!/^(?:0|[1-9][0-9]{0,2})$/.test(part)) return undefined;
    const byte = Number(part);
    if (byte > 255) return undefined;
    bytes.push(byte);
  }
  return bytes;
}

/** Eight 16-bit groups. */
function parseIpv6(text: string): readonly number[] | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = parseGroups(halves[0] ?? '', halves.length === 1);
  if (head === undefined) return undefined;
  if (halves.length === 1) return head.length === 8 ? head : undefined;
  const tail = parseGroups(halves[1] ?? '', true);
  // `::` stands for at least one group.
  if (tail === undefined || head.length + tail.length > 7) return undefined;
  const gap = new Array<number>(8 - head.length - tail.length).fill(0);
  return [...head, ...gap, ...tail];
}

/** Groups of one side of `::`; only the last group of an address may be a dotted IPv4. */
function parseGroups(text: string, mayEndInIpv4: boolean): readonly number[] | undefined {
  if (text === '') return [];
  const parts = text.split(':');
  const groups: number[] = [];
  for (const [index, part] of parts.entries()) {
    if (part.includes('.')) {
      const bytes = mayEndInIpv4 && index === parts.length - 1 ? parseIpv4(part) : undefined;
      if (bytes === undefined) return undefined;
      const [a = 0, b = 0, c = 0, d = 0] = bytes;
      groups.push(a * 256 + b, c * 256 + d);
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return undefined;
      groups.push(Number.parseInt(part, 16));
    }
  }
  return groups;
}

function isMapped(groups: readonly number[]): boolean {
  return groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0);
}

function mappedIpv4(groups: readonly number[]): string {
  const [high = 0, low = 0] = groups.slice(6);
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
}

/** RFC 5952: the longest run of at least two zero groups, the first of equals, becomes `::`. */
function renderIpv6(groups: readonly number[]): string {
  let bestStart = -1;
  let bestLength = 1;
  let start = 0;
  for (let index = 0; index <= groups.length; index += 1) {
    if (groups[index] === 0) continue;
    if (index - start > bestLength) {
      bestStart = start;
      bestLength = index - start;
    }
    start = index + 1;
  }
  const hex = groups.map((group) => group.toString(16));
  if (bestStart < 0) return hex.join(':');
  return `${hex.slice(0, bestStart).join(':')}::${hex.slice(bestStart + bestLength).join(':')}`;
}
