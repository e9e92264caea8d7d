// What mesh DNS answers (contract §3): addresses of the mesh Services for names of the mesh,
// denials with a SOA, REFUSED for everything else. Authoritative only: it asks nobody.
import { parseQuery, type Query } from './query.ts';
import {
  recordTypes,
  renderBareReply,
  renderReply,
  replyBytesMax,
  replyCodes,
  type Reply,
  type ReplyRecord,
} from './reply.ts';
import { lookUp, type MeshZone, type ZoneAddresses } from './zone.ts';

const classInternet = 1;
const classAny = 255;

/** The answer to the bytes of a query; `undefined` = say nothing. */
export function answerQuery(
  query: Uint8Array,
  zone: MeshZone,
  transport: 'udp' | 'tcp',
): Uint8Array | undefined {
  const parsed = parseQuery(query);
  switch (parsed.kind) {
    case 'drop':
      return undefined;
    case 'malformed':
      return renderBareReply(parsed.header, replyCodes.formatError);
    case 'unsupported':
      return renderBareReply(parsed.header, replyCodes.notImplemented);
    case 'query': {
      const bytesMax = replyBytesMax(parsed.query, transport);
      return renderReply(parsed.query, replyTo(parsed.query, zone), bytesMax);
    }
  }
}

function replyTo(query: Query, zone: MeshZone): Reply {
  // RFC 6891 §6.1.3: a version that we do not speak is told before anything else.
  if (query.edns !== undefined && query.edns.version > 0) return denial(replyCodes.badVersion);
  const isOurClass = query.class === classInternet || query.class === classAny;
  if (!isOurClass || isMetaType(query.type)) return denial(replyCodes.refused);
  const found = lookUp(zone, query.name);
  switch (found.kind) {
    case 'foreign':
      return denial(replyCodes.refused);
    case 'unknown':
      return negative(replyCodes.nameError, found.apex);
    case 'empty': {
      const isSoa = query.type === recordTypes.soa || query.type === recordTypes.any;
      if (isSoa && query.name === found.apex) return withSoa(found.apex);
      return negative(replyCodes.noError, found.apex);
    }
    case 'addresses': {
      const answers = recordsOf(found.addresses, query.type);
      if (answers.length === 0) return negative(replyCodes.noError, found.apex);
      return { code: replyCodes.noError, isAuthoritative: true, answers, soa: undefined };
    }
  }
}

/** Transfers and keys (RFC 6895 §3.1: 128–254 are no data), but ANY is a question. */
function isMetaType(type: number): boolean {
  return type >= 128 && type <= 254;
}

function recordsOf(addresses: ZoneAddresses, type: number): readonly ReplyRecord[] {
  const isAny = type === recordTypes.any;
  const ipv4 = type === recordTypes.a || isAny ? addresses.ipv4 : [];
  const ipv6 = type === recordTypes.aaaa || isAny ? addresses.ipv6 : [];
  return [
    ...ipv4.map((data) => ({ type: recordTypes.a, data })),
    ...ipv6.map((data) => ({ type: recordTypes.aaaa, data })),
  ];
}

function denial(code: number): Reply {
  return { code, isAuthoritative: false, answers: [], soa: undefined };
}

function negative(code: number, apex: string): Reply {
  return { code, isAuthoritative: true, answers: [], soa: { apex, section: 'authority' } };
}

function withSoa(apex: string): Reply {
  const soa = { apex, section: 'answer' } as const;
  return { code: replyCodes.noError, isAuthoritative: true, answers: [], soa };
}
