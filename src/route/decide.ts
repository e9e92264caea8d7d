// Where a request or a flow goes, or why it goes nowhere (smi §1.6 steps 1–3). Everything is
// compiled: a request costs look-ups by hostname and port and the matches before the one that
// holds; a flow, which has no head, one look-up by the Service and port of its listener.
import type { SectionId } from '../snapshot/index.ts';
import { matchesHead } from './match.ts';
import type { RouteTable } from './table.ts';
import type { Decision, FlowDestination, RequestHead } from './types.ts';

const unknownService: Decision = { kind: 'refuse', reason: 'UnknownService', host: undefined };

/** The split for `head`, or the refusal. The first route that matches wins. */
export function decide(table: RouteTable, head: RequestHead): Decision {
  const id = table.hosts.get(head.hostname);
  const routes = id && table.services.get(id)?.ports.get(head.servicePort);
  if (routes === undefined) return unknownService;
  const { probeAt, probeCode, matches, decisions } = routes;
  const { path } = head;
  for (let route = 0; route < matches.length; route += 1) {
    const at = probeAt[route] ?? -1;
    if (at >= 0 && path.charCodeAt(at) !== probeCode[route]) continue;
    const match = matches[route];
    if (match === undefined || matchesHead(match, head)) return decisions[route] ?? unknownService;
  }
  return unknownService;
}

/**
 * The split for a connection to a listener of TCP, or for a flow of datagrams. A listener that was
 * left stands until clients have forgotten its address: it leads to the service while that still
 * has the port.
 */
export function decideFlow(table: RouteTable, to: FlowDestination): Decision {
  // As `snapshot` spells it.
  const id = `service/${to.namespace}/${to.service}` as SectionId;
  return table.services.get(id)?.[to.protocol].get(to.servicePort) ?? unknownService;
}
