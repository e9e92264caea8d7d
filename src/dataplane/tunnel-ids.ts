// The ids that a proxy made for a request, told to the pod's proxy in one last line of the head
// (docs/design/0008): what stands before it is the same for each request of a client that sends
// none, and so is recognised there. Ids that the client sent travel as it sent them.
import { latin1Text } from './http1/bytes.ts';
import type { Fields } from './http1/fields.ts';
import type { RequestIds } from './http1/serialise.ts';
import { isRequestId, isTraceparent } from './http1/trace-fields.ts';

const idsField = 'weft-tunnel-ids';
const lineStart = `${idsField}: `;
const headEnd = '\r\n\r\n';
/** As our own proxies make them: 128 bits in hex, and a W3C traceparent of version 00. */
const requestIdLength = 32;
const traceparentLength = 55;

/** Ends a head. */
export function renderIdsTail({ requestId, traceparent }: RequestIds): string {
  return `${lineStart}${requestId} ${traceparent}${headEnd}`;
}

/** Undefined: there are none, or none that can be passed on. */
export function readTunnelIds(fields: Fields): RequestIds | undefined {
  const values = fields.values(idsField);
  const [requestId = '', traceparent = '', ...more] = (values[0] ?? '').split(' ');
  if (values.length !== 1 || more.length > 0) return undefined;
  return isRequestId(requestId) && isTraceparent(traceparent)
    ? { requestId, traceparent }
    : undefined;
}

/** Of the line of ids of the usual lengths, with the end of the head behind it. */
export const idsTailBytes =
  lineStart.length + requestIdLength + 1 + traceparentLength + headEnd.length;

/** What `buffer[end - idsTailBytes, end)` tells, if it is such a line. */
export function readIdsTail(buffer: Buffer, end: number): RequestIds | undefined {
  const text = latin1Text(buffer, end - idsTailBytes, end);
  if (!text.startsWith(lineStart) || !text.endsWith(headEnd)) return undefined;
  const idEnd = lineStart.length + requestIdLength;
  const requestId = text.slice(lineStart.length, idEnd);
  const traceparent = text.slice(idEnd + 1, idEnd + 1 + traceparentLength);
  const isSane = text[idEnd] === ' ' && isRequestId(requestId) && isTraceparent(traceparent);
  return isSane ? { requestId, traceparent } : undefined;
}
