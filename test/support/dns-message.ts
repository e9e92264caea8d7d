// DNS messages for tests: a writer of queries and a reader of replies of its own, so that the
// product is not tested with its own reading of RFC 1035.

export const rcodes = ['NOERROR', 'FORMERR', 'SERVFAIL', 'NXDOMAIN', 'NOTIMP', 'REFUSED'] as const;

export type QuerySpec = {
  readonly name: string;
  readonly type?: number;
  readonly class?: number;
  readonly id?: number;
  readonly flags?: number;
  /** [questions, answers, authority, additional]. */
  readonly counts?: readonly [number, number, number, number];
  /** An OPT record: payload size, version, flags. */
  readonly edns?: { readonly payload: number; readonly version?: number; readonly flags?: number };
  /** Appended behind everything. */
  readonly rest?: readonly number[];
};

const u16 = (value: number): readonly number[] => [(value >> 8) & 255, value & 255];

export function nameBytes(name: string): readonly number[] {
  const labels = name.split('.').filter((label) => label !== '');
  return [...labels.flatMap((label) => [label.length, ...Buffer.from(label, 'latin1')]), 0];
}

export function optBytes(spec: NonNullable<QuerySpec['edns']>): readonly number[] {
  return [0, ...u16(41), ...u16(spec.payload), 0, spec.version ?? 0, ...u16(spec.flags ?? 0), 0, 0];
}

export function dnsQuery(spec: QuerySpec): Uint8Array {
  const opt = spec.edns === undefined ? [] : optBytes(spec.edns);
  const counts = spec.counts ?? [1, 0, 0, opt.length === 0 ? 0 : 1];
  return Uint8Array.from([
    ...u16(spec.id ?? 0x1234),
    ...u16(spec.flags ?? 0x0100),
    ...counts.flatMap(u16),
    ...nameBytes(spec.name),
    ...u16(spec.type ?? 1),
    ...u16(spec.class ?? 1),
    ...opt,
    ...(spec.rest ?? []),
  ]);
}

export type DnsRecord = {
  readonly owner: string;
  readonly type: number;
  readonly class: number;
  readonly ttl: number;
  readonly data: Uint8Array;
  readonly dataAt: number;
};

export type DnsReply = {
  readonly id: number;
  readonly flags: number;
  readonly code: string;
  readonly isTruncated: boolean;
  readonly isAuthoritative: boolean;
  readonly question: { readonly name: string; readonly type: number } | undefined;
  readonly answers: readonly DnsRecord[];
  readonly authority: readonly DnsRecord[];
  readonly additional: readonly DnsRecord[];
  /** Bytes that no count speaks of. */
  readonly trailing: number;
};

/** Reads a name with its pointers, which may only point backwards. */
export function readName(bytes: Uint8Array, start: number): { text: string; end: number } {
  const labels: string[] = [];
  let at = start;
  let end: number | undefined;
  for (;;) {
    const length = byteAt(bytes, at);
    if (length >= 0xc0) {
      const target = ((length & 63) << 8) | byteAt(bytes, at + 1);
      if (target >= at) throw new Error('pointer does not point backwards');
      end ??= at + 2;
      at = target;
      continue;
    }
    if (length > 63) throw new Error('bad label');
    if (length === 0) return { text: labels.join('.'), end: end ?? at + 1 };
    labels.push(Buffer.from(bytes.subarray(at + 1, at + 1 + length)).toString('latin1'));
    at += 1 + length;
  }
}

export function readReply(bytes: Uint8Array): DnsReply {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const flags = view.getUint16(2);
  let at = 12;
  let question: DnsReply['question'];
  if (view.getUint16(4) === 1) {
    const name = readName(bytes, at);
    question = { name: name.text, type: view.getUint16(name.end) };
    at = name.end + 4;
  }
  const section = (count: number): DnsRecord[] =>
    Array.from({ length: count }, () => {
      const { text: owner, end } = readName(bytes, at);
      const length = view.getUint16(end + 8);
      const dataAt = end + 10;
      at = dataAt + length;
      if (at > bytes.length) throw new Error('record runs over the end');
      return {
        owner,
        type: view.getUint16(end),
        class: view.getUint16(end + 2),
        ttl: view.getUint32(end + 4),
        data: bytes.subarray(dataAt, at),
        dataAt,
      };
    });
  const answers = section(view.getUint16(6));
  const authority = section(view.getUint16(8));
  const additional = section(view.getUint16(10));
  return {
    id: view.getUint16(0),
    flags,
    code: rcodes[flags & 15] ?? String(flags & 15),
    isTruncated: (flags & 0x0200) !== 0,
    isAuthoritative: (flags & 0x0400) !== 0,
    question,
    answers,
    authority,
    additional,
    trailing: bytes.length - at,
  };
}

function byteAt(bytes: Uint8Array, at: number): number {
  const byte = bytes[at];
  if (byte === undefined) throw new Error('name runs over the end');
  return byte;
}
