// What the data plane adds to a request on its way to a pod: forwarded fields, ids, the Host that
// the pod sees. Fields that a client sends never feed a decision (A8); who is trusted only gets
// them passed on. What is taken away is the renderer's business (http1/serialise.ts).
import type { Source, VirtualHost } from '../route/index.ts';
import type { Client } from './client.ts';
import type { Engine } from './engine.ts';
import type { HttpRequestHead } from './http1/request-head.ts';
import { RenderedForwarded, renderRequestParts } from './http1/serialise.ts';
import type { ForwardedValues, RequestHeadParts } from './http1/serialise.ts';
import { isRequestId, isTraceparent } from './http1/trace-fields.ts';

/** The client's `x-request-id`, where it is a sane one. */
export function sentRequestId(head: HttpRequestHead): string | undefined {
  const sent = head.fields.get('x-request-id');
  return sent !== undefined && isRequestId(sent) ? sent : undefined;
}

/** The client's W3C trace context, where it is one. */
export function sentTraceparent(head: HttpRequestHead): string | undefined {
  const sent = head.fields.get('traceparent');
  return sent !== undefined && isTraceparent(sent) ? sent : undefined;
}

/** What is known of the caller, whatever the fields say. */
export type CallerFacts = {
  readonly source: Source;
  readonly remoteAddress: string;
  readonly host: VirtualHost | undefined;
  readonly sentTraceparent: string | undefined;
};

/** The head as a pod gets it, but for its ids; the same for every attempt. */
export function renderUpstreamHead(
  engine: Engine,
  head: HttpRequestHead,
  client: Pick<Client, 'forwarded'>,
  facts: CallerFacts,
): RequestHeadParts {
  const parts = renderRequestParts({
    head,
    authority: facts.host?.rules.upstreamHost ?? head.authority,
    forwarded: forwardedOf(engine, head, client, facts),
    keepsTrace: facts.sentTraceparent !== undefined,
    connection: 'keep-alive',
  });
  const { neverIndexed } = head.fields;
  return neverIndexed === undefined ? parts : { ...parts, neverIndexed };
}

/** Replaced by what we know; appended to what a trusted source sent. */
function forwardedOf(
  engine: Engine,
  head: HttpRequestHead,
  client: Pick<Client, 'forwarded'>,
  { source, remoteAddress }: CallerFacts,
): ForwardedValues {
  const isTrusted = engine.trusted.has(source, remoteAddress);
  const last = client.forwarded;
  if (!isTrusted && last !== undefined && last.host === head.authority) return last;
  const known: ForwardedValues = {
    for: remoteAddress,
    host: head.authority,
    proto: 'http',
    port: head.servicePort,
  };
  if (!isTrusted) {
    client.forwarded = new RenderedForwarded(known);
    return client.forwarded;
  }
  const { fields } = head;
  const port = Number(fields.get('x-forwarded-port'));
  return {
    for: [...fields.values('x-forwarded-for'), remoteAddress].join(', '),
    host: fields.get('x-forwarded-host') ?? known.host,
    proto: fields.get('x-forwarded-proto') === 'https' ? 'https' : 'http',
    port: Number.isInteger(port) && port > 0 && port < 65_536 ? port : known.port,
  };
}
