// Whole messages written again from what the codec read: the bytes that would be forwarded, head
// and body, with values of ours that never change.
import { createHash } from 'node:crypto';
import type { Framing } from '../../src/dataplane/http1/framing.ts';
import type { HttpRequestHead } from '../../src/dataplane/http1/request-head.ts';
import type { HttpResponseHead } from '../../src/dataplane/http1/response-head.ts';
import {
  chunkEnd,
  downstreamFraming,
  renderChunkPrefix,
  renderLastChunk,
  renderRequestHead,
  renderResponseHead,
} from '../../src/dataplane/http1/serialise.ts';
import type { Seen } from './http1-messages.ts';

const trace = createHash('sha256').update('trace').digest('hex');

/** Head of the forwarded request, with values of ours that never change. */
export function rewriteRequestHead(head: HttpRequestHead): string {
  return renderRequestHead({
    head,
    authority: head.authority,
    forwarded: { for: '10.0.0.1', host: head.authority, proto: 'http', port: 80 },
    requestId: 'request-1',
    traceparent: `00-${trace.slice(0, 32)}-${trace.slice(0, 16)}-01`,
    connection: 'keep-alive',
  });
}

export function rewriteRequest(seen: Seen<HttpRequestHead>): string {
  return rewriteRequestHead(seen.head) + rewriteBody(seen.head.framing, seen);
}

export function rewriteResponse(seen: Seen<HttpResponseHead>): string {
  const framing = downstreamFraming(seen.head, 11);
  const head = renderResponseHead({
    head: seen.head,
    framing,
    connection: 'keep-alive',
    clientVersion: 11,
  });
  return head + rewriteBody(framing, seen);
}

function rewriteBody(framing: Framing, seen: Seen<HttpRequestHead | HttpResponseHead>): string {
  const { body, trailers, head } = seen;
  if (framing.kind !== 'chunked') return body;
  const data = body === '' ? '' : renderChunkPrefix(body.length) + body + chunkEnd;
  return data + renderLastChunk(trailers, head.nominated);
}
