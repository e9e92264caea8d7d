// Where a request goes, or why it goes nowhere (smi §1.6 steps 1–3). Everything is compiled: a
// request costs look-ups by hostname and port and the matches before the one that holds.
import { matchesHead } from './match.ts';
import type { RouteTable } from './table.ts';
import type { Decision, RequestHead } from './types.ts';

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
