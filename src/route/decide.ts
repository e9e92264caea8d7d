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
  for (const { matches, decision } of routes) {
    if (matches === undefined) return decision;
    for (const match of matches) {
      if (matchesHead(match, head)) return decision;
    }
  }
  return unknownService;
}
