// The fields that the two proxies of a call write for each other (docs/design/0008, "Inside"): what
// a request is for, and whether a refusal speaks for the proxy. Clients' and pods' fields of these
// names were deleted before (http1/forwarding.ts). Names that are not known are ignored, so that
// the next release may add some; one of ours that comes twice or does not parse is no request.
import { normaliseAddress } from '../lib/address.ts';
import type { Backend, Endpoint, TunnelTarget } from '../route/index.ts';
import { endpointId } from '../snapshot/index.ts';
import type { Transport } from '../snapshot/index.ts';
import { parseAuthority } from './http1/authority.ts';
import type { Fields } from './http1/fields.ts';
import type { HeaderField } from './http2/hpack-table.ts';

const serviceField = 'weft-tunnel-service';
const podField = 'weft-tunnel-pod';
const authorityField = 'weft-tunnel-authority';
const sourceField = 'weft-tunnel-source';
const deadlineField = 'weft-tunnel-deadline';
const reasonField = 'weft-tunnel-reason';
const unsentField = 'weft-tunnel-unsent';

const nobody = 'unauthenticated';

export type TunnelCall = {
  readonly backend: Pick<Backend, 'namespace' | 'service' | 'port'>;
  readonly endpoint: Pick<Endpoint, 'address' | 'port'>;
  /** The caller's Host, where the pod's is another one. */
  readonly authority: string | undefined;
  readonly isAuthenticated: boolean;
  /** Undefined: TCP. */
  readonly transport?: Transport;
};

/** Lines that end the head of a request in a tunnel. */
export function renderTunnelFields(call: TunnelCall): string {
  const { backend, endpoint, authority, isAuthenticated } = call;
  let text = `${serviceField}: ${backend.namespace}/${backend.service}:${backend.port}\r\n`;
  text += `${podField}: ${endpointId(endpoint.address, endpoint.port)}\r\n`;
  if (authority !== undefined) text += `${authorityField}: ${authority}\r\n`;
  if (!isAuthenticated) text += `${sourceField}: ${nobody}\r\n`;
  return text;
}

/**
 * The same of a TCP connection or a flow of datagrams, which is a CONNECT request of HTTP/2 (RFC
 * 9113 section 8.5). What is UDP says so in the names themselves: who does not know it refuses.
 */
export function tunnelCallHead(call: Omit<TunnelCall, 'authority'>): readonly HeaderField[] {
  const { backend, endpoint, isAuthenticated, transport } = call;
  const pod = endpointId(endpoint.address, endpoint.port);
  const service = `${backend.namespace}/${backend.service}:${backend.port}`;
  const suffix = suffixOf(transport);
  const head = [
    { name: ':method', value: 'CONNECT' },
    { name: ':authority', value: pod },
    { name: serviceField, value: service + suffix },
    { name: podField, value: pod + suffix },
  ];
  return isAuthenticated ? head : [...head, { name: sourceField, value: nobody }];
}

function suffixOf(transport: Transport): string {
  return transport === undefined ? '' : '/udp';
}

/** How long the caller's proxy will wait for the end of the answer. */
export type TunnelDeadline = {
  readonly ms: number;
  /** The caller has set it, not the service: that it passes says nothing of the pod. */
  readonly isCallers: boolean;
};

/** In steps, so that the heads of most requests are the same and are recognised. */
const deadlineStepMs = 25;
const deadlineMsMax = 999_999_999;
const byCaller = ' caller';

/** The line that says so; empty where there is no such time, or one longer than matters. */
export function renderTunnelDeadline({ ms, isCallers }: TunnelDeadline): string {
  const stepped = Math.max(0, Math.ceil(ms / deadlineStepMs) * deadlineStepMs);
  if (stepped > deadlineMsMax) return '';
  return `${deadlineField}: ${stepped}${isCallers ? byCaller : ''}\r\n`;
}

function deadlineOf(text: string): TunnelDeadline | undefined {
  const [, ms, caller] = /^([0-9]{1,9})( caller)?$/.exec(text) ?? [];
  return ms === undefined ? undefined : { ms: Number(ms), isCallers: caller === byCaller };
}

/** What a request that came by tunnel says of itself. */
export type TunnelFields = {
  readonly target: TunnelTarget;
  /** Host for matches on it: the caller's own. */
  readonly hostname: string | undefined;
  /** The caller is nobody, whatever the certificate says. */
  readonly isLowered: boolean;
  readonly deadline: TunnelDeadline | undefined;
};

/** Undefined: a field is missing, comes twice, does not parse, or is of the other transport. */
export function readTunnelFields(
  fields: Pick<Fields, 'values'>,
  transport?: Transport,
): TunnelFields | undefined {
  const service = fields.values(serviceField);
  const pod = fields.values(podField);
  if (service.length !== 1 || pod.length !== 1) return undefined;
  const authority = fields.values(authorityField);
  const source = fields.values(sourceField);
  const times = fields.values(deadlineField);
  if (authority.length > 1 || source.length > 1 || times.length > 1) return undefined;
  const suffix = suffixOf(transport);
  const target = targetOf(without(suffix, service[0]), without(suffix, pod[0]));
  const host = authority[0] === undefined ? undefined : parseAuthority(authority[0]);
  const isHostLost = authority.length === 1 && host === undefined;
  const isSourceLost = source[0] !== undefined && source[0] !== nobody;
  const deadline = times[0] === undefined ? undefined : deadlineOf(times[0]);
  const isTimeLost = times.length === 1 && deadline === undefined;
  if (target === undefined || isHostLost || isSourceLost || isTimeLost) return undefined;
  const sent = transport === undefined ? target : { ...target, transport };
  return { target: sent, hostname: host?.hostname, isLowered: source.length === 1, deadline };
}

/** Empty where it does not end so: nothing is named by that. */
function without(suffix: string, text = ''): string {
  return text.endsWith(suffix) ? text.slice(0, text.length - suffix.length) : '';
}

const servicePattern = /^([a-z0-9-]{1,63})\/([a-z0-9-]{1,63}):([1-9][0-9]{0,4})$/;
const podPattern = /^(?:\[([0-9a-f:.]{2,45})\]|([0-9.]{7,15})):([1-9][0-9]{0,4})$/;

function targetOf(service: string, pod: string): TunnelTarget | undefined {
  const named = servicePattern.exec(service);
  const placed = podPattern.exec(pod);
  if (named === null || placed === null) return undefined;
  const [, namespace = '', name = ''] = named;
  const sent = placed[1] ?? placed[2] ?? '';
  const address = normaliseAddress(sent);
  const port = Number(named[3]);
  const podPort = Number(placed[3]);
  // One spelling only: what is looked up is what was sent.
  if (address !== sent || port > 65_535 || podPort > 65_535) return undefined;
  return { namespace, service: name, port, address, podPort };
}

/** What the other proxy says in its answer; undefined: it is the pod's. */
export type TunnelRefusal = {
  readonly reason: string;
  readonly isUnsent: boolean;
  /** Of its Retry-After, in seconds. */
  readonly retryAfterS?: number | undefined;
};

export function readTunnelRefusal(fields: Pick<Fields, 'get'>): TunnelRefusal | undefined {
  const reason = fields.get(reasonField);
  if (reason === undefined) return undefined;
  const retryAfter = fields.get('retry-after') ?? '';
  const retryAfterS = /^[0-9]{1,6}$/.test(retryAfter) ? Number(retryAfter) : undefined;
  return { reason, isUnsent: fields.get(unsentField) === '1', retryAfterS };
}

/** Fields of a refusal that goes back through a tunnel. */
export function tunnelRefusalFields({
  reason,
  isUnsent,
}: TunnelRefusal): readonly (readonly [name: string, value: string])[] {
  const told = [reasonField, reason] as const;
  return isUnsent ? [told, [unsentField, '1']] : [told];
}
