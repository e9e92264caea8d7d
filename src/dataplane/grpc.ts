// What the data plane knows of gRPC over HTTP/2 (the PROTOCOL-HTTP2 document of gRPC): which calls
// are gRPC, the deadline that a caller gives, the status in an answer, and our own refusals as the
// trailers-only answers that gRPC clients understand (contract §4). Messages are never looked at.
import { field } from './http1/field-names.ts';
import type { Fields } from './http1/fields.ts';
import type { HttpRequestHead } from './http1/request-head.ts';
import type { HttpResponseHead } from './http1/response-head.ts';
import type { HeaderField } from './http2/hpack-table.ts';
import type { Reason } from './refusals.ts';

const contentTypes = /^application\/grpc(?:[+;]|$)/i;

/** gRPC proper: `application/grpc-web` is plain HTTP with a body of its own. */
export function isGrpc(fields: Fields): boolean {
  if (fields.isGrpc !== undefined) return fields.isGrpc;
  const type = fields.getKnown(field.contentType);
  fields.isGrpc = type !== undefined && isGrpcType(type);
  return fields.isGrpc;
}

/** A content-type of gRPC. */
export function isGrpcType(contentType: string): boolean {
  return contentTypes.test(contentType);
}

const unitMs: ReadonlyMap<string, number> = new Map([
  ['H', 3_600_000],
  ['M', 60_000],
  ['S', 1_000],
  ['m', 1],
  ['u', 1e-3],
  ['n', 1e-6],
]);

/** The time that a call has: the service's rules', or what the caller says it waits, if less. */
export function callTimeoutMs(
  rulesMs: number | undefined,
  { version, fields }: HttpRequestHead,
): number | undefined {
  const saidMs = version === 20 && isGrpc(fields) ? grpcTimeoutMs(fields) : undefined;
  return saidMs === undefined ? rulesMs : Math.min(saidMs, rulesMs ?? Infinity);
}

/** What the caller says (`grpc-timeout`); undefined: nothing, or nothing that parses. */
export function grpcTimeoutMs(fields: Fields): number | undefined {
  const said = fields.get('grpc-timeout');
  const parsed = said === undefined ? null : /^(\d{1,8})([HMSmun])$/.exec(said);
  const unit = unitMs.get(parsed?.[2] ?? '');
  return unit === undefined ? undefined : Number(parsed?.[1]) * unit;
}

const statusMax = 16;

/** The `grpc-status` of a head or of trailers; undefined where there is none that is known. */
export function grpcStatusIn(fields: Fields): number | undefined {
  fields.grpcStatus ??= readStatus(fields.get('grpc-status')) ?? 'none';
  return fields.grpcStatus === 'none' ? undefined : fields.grpcStatus;
}

function readStatus(said: string | undefined): number | undefined {
  if (said === undefined || !/^\d{1,2}$/.test(said)) return undefined;
  const status = Number(said);
  return status <= statusMax ? status : undefined;
}

/** What a call has come to where nobody says a status. */
export const unknownStatus = 2;
export const deadlineExceeded = 4;

/**
 * The status of HTTP that an outcome of gRPC counts as, for ejection and for breakers whose
 * expressions know only such: the pairs of contract §4, the canonical ones of google.rpc.Code where
 * it has none. Failures of whoever serves (2, 4, 8, 13, 14, 15) are 5xx or 429, and no others.
 */
const httpStatuses: readonly number[] = [
  200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 404, 500, 503, 500, 401,
];

/** Of a status from 0 to 16. */
export function httpStatusOf(grpcStatus: number): number {
  return httpStatuses[grpcStatus] ?? 500;
}

/**
 * What an answer says of its call. `later`: its trailers will. Undefined: it is not one of gRPC, or
 * its HTTP status says it all.
 */
export function statusInHead(head: HttpResponseHead): number | 'later' | undefined {
  if (!head.isGrpc || head.status !== 200) return undefined;
  const { framing, fields } = head;
  const isAll = framing.kind === 'none' || (framing.kind === 'length' && framing.length === 0);
  if (!isAll) return 'later';
  // A trailers-only answer; elsewhere in a head the field is anybody's word.
  return grpcStatusIn(fields) ?? (framing.kind === 'none' ? undefined : unknownStatus);
}

/** The status of HTTP that an answer stands for, as far as its head tells. */
export function statusToldBy(head: HttpResponseHead): number {
  const called = statusInHead(head);
  return typeof called === 'number' ? httpStatusOf(called) : head.status;
}

/** Of the time that a caller gives: behind it, what is late is the caller's doing. */
const lateShare = 0.75;

/** Whether a call that is told DEADLINE_EXCEEDED is so by its caller's own time. */
export function isLateForCaller({ fields }: { readonly fields: Fields }, tookMs: number): boolean {
  const timeMs = grpcTimeoutMs(fields);
  return timeMs !== undefined && tookMs >= timeMs * lateShare;
}

const unavailable = 14;

const statuses: ReadonlyMap<Reason, number> = new Map<Reason, number>([
  ['UnknownService', 12],
  ['SourceNotAllowed', 7],
  ['RouteNotAllowed', 7],
  ['SourceUnknown', 7],
  ['TimeoutConnect', 4],
  ['TimeoutRequest', 4],
  ['TimeoutIdle', 4],
  ['Shedding', 8],
  ['RateLimited', 8],
  ['BadRequestBodyTooLarge', 8],
  ['BadRequestUnsupported', 12],
  ['BadRequestTimeout', 4],
  ['Loop', 13],
  ['Bug', 13],
]);

/** What statuses of HTTP are to gRPC: as contract §4 has them, or else gRPC's own list. */
const statusesByHttp: ReadonlyMap<number, number> = new Map([
  [400, 13],
  [401, 16],
  [403, 7],
  [404, 12],
  [408, 4],
  [413, 8],
  [429, 8],
  [500, 13],
  [501, 12],
  [502, unavailable],
  [503, unavailable],
  [504, 4],
]);

/** What a reason is to a gRPC client; of a fault on purpose, what its owner has asked for is. */
export function grpcStatusOf(reason: Reason, status = 0): number {
  if (reason === 'FaultInjected') return statusesByHttp.get(status) ?? unknownStatus;
  const known = statuses.get(reason);
  if (known !== undefined) return known;
  // Where HTTP has a 400 gRPC has a broken peer.
  return reason.startsWith('BadRequest') ? 13 : unavailable;
}

export type GrpcRefusal = {
  readonly reason: Reason;
  /** What a client of HTTP would get. */
  readonly status?: number;
  readonly text: string;
  readonly date: string;
  readonly retryAfterS: number | undefined;
};

/** Head and trailers in one: the stream ends with it. */
export function grpcRefusal(refusal: GrpcRefusal): readonly HeaderField[] {
  const { reason, status, text, date, retryAfterS } = refusal;
  const lines = [
    { name: ':status', value: '200' },
    { name: 'content-type', value: 'application/grpc' },
    { name: 'grpc-status', value: String(grpcStatusOf(reason, status)) },
    { name: 'grpc-message', value: encodeMessage(text) },
    { name: 'weft-reason', value: reason },
    { name: 'date', value: date },
  ];
  if (retryAfterS !== undefined) lines.push({ name: 'retry-after', value: String(retryAfterS) });
  return lines;
}

/** Percent-encodes everything that is not printable ASCII, and the percent sign. */
function encodeMessage(text: string): string {
  return text.replace(/[^\x20-\x24\x26-\x7e]/g, (one) => encodeURIComponent(one));
}
