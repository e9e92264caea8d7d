// DNS replies onto the wire (RFC 1035 §4.1, RFC 2308 for negative ones, RFC 6891 for OPT). Owner
// names are pointers into the question, so that they have the case in which they were asked (which
// resolvers check, "0x20"). A reply is never longer than its limit: what does not fit is left out
// and TC says so.
import { headerBytes, type Query, type QueryHeader } from './query.ts';

export const recordTypes = { a: 1, soa: 6, aaaa: 28, any: 255 } as const;

export const replyCodes = {
  noError: 0,
  formatError: 1,
  nameError: 3,
  notImplemented: 4,
  refused: 5,
  /** RFC 6891 §9; its upper bits travel in the OPT record. */
  badVersion: 16,
} as const;

/** Seconds; names follow Services within this time, and a name that is new is not denied longer. */
const ttlSeconds = 5;
/** What we take and send over UDP: no fragments on any usual path (dnsflagday.net/2020). */
const payloadBytesMax = 1232;
/** RFC 1035 §4.2.1, for clients that say nothing. */
const plainPayloadBytes = 512;
const tcpBytesMax = 65_535;

export type ReplyRecord = { readonly type: number; readonly data: Uint8Array };

export type Reply = {
  readonly code: number;
  readonly isAuthoritative: boolean;
  /** Addresses of the name that was asked for. */
  readonly answers: readonly ReplyRecord[];
  /** Zone whose SOA is told; it ends the name that was asked for. */
  readonly soa:
    | { readonly apex: string; readonly section: 'answer' | 'authority' }
    | undefined;
};

/** Bytes that a reply to `query` may have. */
export function replyBytesMax(query: Query, transport: 'udp' | 'tcp'): number {
  if (transport === 'tcp') return tcpBytesMax;
  if (query.edns === undefined) return plainPayloadBytes;
  return Math.min(payloadBytesMax, Math.max(plainPayloadBytes, query.edns.payloadBytes));
}

/** A reply without a question: to what could not be read. */
export function renderBareReply(header: QueryHeader, code: number): Uint8Array {
  const bytes = new Uint8Array(headerBytes);
  writeHeader(bytes, { header, code, isAuthoritative: false, isTruncated: false });
  return bytes;
}

/** The reply to `query` in at most `bytesMax` bytes. */
export function renderReply(query: Query, reply: Reply, bytesMax: number): Uint8Array {
  const optBytes = query.edns === undefined ? 0 : optRecordBytes;
  const soa = reply.soa === undefined ? undefined : soaRecord(query, reply.soa.apex);
  const records = reply.answers.map(addressRecord);
  const isAnswer = reply.soa?.section === 'answer';
  if (soa !== undefined && isAnswer) records.push(soa);
  const authority = soa === undefined || isAnswer ? [] : [soa];

  let left = bytesMax - headerBytes - query.question.length - optBytes;
  const kept: Uint8Array[] = [];
  for (const record of [...records, ...authority]) {
    if (record.length > left) break;
    left -= record.length;
    kept.push(record);
  }
  const isTruncated = kept.length < records.length + authority.length;
  const opt = query.edns === undefined ? [] : [optRecord(query.edns.flags, reply.code)];
  const bytes = joined([new Uint8Array(headerBytes), query.question, ...kept, ...opt]);
  const { code, isAuthoritative } = reply;
  const view = writeHeader(bytes, { header: query.header, code, isAuthoritative, isTruncated });
  view.setUint16(4, 1);
  view.setUint16(6, Math.min(kept.length, records.length));
  view.setUint16(8, Math.max(0, kept.length - records.length));
  view.setUint16(10, opt.length);
  return bytes;
}

type HeaderFacts = {
  readonly header: QueryHeader;
  readonly code: number;
  readonly isAuthoritative: boolean;
  readonly isTruncated: boolean;
};

function writeHeader(bytes: Uint8Array, facts: HeaderFacts): DataView {
  const { header, code, isAuthoritative, isTruncated } = facts;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const flags =
    0x8000 |
    (header.opcode << 11) |
    (isAuthoritative ? 0x0400 : 0) |
    (isTruncated ? 0x0200 : 0) |
    header.echoedFlags |
    (code & 15);
  view.setUint16(0, header.id);
  view.setUint16(2, flags);
  return view;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** A record of the name in the question, which begins right behind the header. */
function addressRecord({ type, data }: ReplyRecord): Uint8Array {
  return record(headerBytes, type, data);
}

const classInternet = 1;

function record(ownerAt: number, type: number, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(12 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, pointerTo(ownerAt));
  view.setUint16(2, type);
  view.setUint16(4, classInternet);
  view.setUint32(6, ttlSeconds);
  view.setUint16(10, data.length);
  bytes.set(data, 12);
  return bytes;
}

function pointerTo(at: number): number {
  return 0xc000 | at;
}

/** RFC 2308: its TTL and its MINIMUM bound how long a denial is believed. */
function soaRecord(query: Query, apex: string): Uint8Array {
  // The apex is the end of the name: one length byte per label, so text plus two bytes.
  const apexAt = headerBytes + query.nameBytes - (apex.length + 2);
  const numbers = new Uint8Array(20);
  const view = new DataView(numbers.buffer);
  // Serial, refresh, retry, expire, minimum; nobody transfers the zone, so only the last counts.
  for (const [at, value] of [1, 3600, 600, 86_400, ttlSeconds].entries()) {
    view.setUint32(at * 4, value);
  }
  const data = joined([nameUnder('ns', apexAt), nameUnder('hostmaster', apexAt), numbers]);
  return record(apexAt, recordTypes.soa, data);
}

function nameUnder(label: string, parentAt: number): Uint8Array {
  const bytes = new Uint8Array(label.length + 3);
  bytes[0] = label.length;
  for (let at = 0; at < label.length; at += 1) bytes[at + 1] = label.charCodeAt(at);
  new DataView(bytes.buffer).setUint16(label.length + 1, pointerTo(parentAt));
  return bytes;
}

const optRecordBytes = 11;
const optType = 41;
/** DNSSEC OK is repeated (RFC 3225 §3); the reserved flags must be zero. */
const dnssecOkFlag = 0x8000;

function optRecord(flags: number, code: number): Uint8Array {
  const bytes = new Uint8Array(optRecordBytes);
  const view = new DataView(bytes.buffer);
  view.setUint16(1, optType);
  view.setUint16(3, payloadBytesMax);
  view.setUint8(5, code >> 4);
  view.setUint16(7, flags & dnssecOkFlag);
  return bytes;
}
