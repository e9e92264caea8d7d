// Which workloads the splits of a table lead to, before any request has gone there: canary tools
// ask for the series of a new backend at once, and no sample is a failed check to them.
import { destinationOf } from './authorise.ts';
import type { RouteTable } from './table.ts';
import type { Destination, VirtualHost } from './types.ts';

export type SplitDestination = {
  /** The service whose split it is. */
  readonly host: VirtualHost;
  readonly destination: Destination;
};

/** One per backend of every split with two backends or more: the workload of its first endpoint. */
export function splitDestinations(table: RouteTable): readonly SplitDestination[] {
  const found: SplitDestination[] = [];
  for (const { shape } of table.services.values()) {
    for (const { routes } of shape.ports) {
      for (const { backends } of routes) {
        if (backends.length < 2) continue;
        for (const { section, port } of backends) {
          const endpoint = table.endpoints.get(section)?.backends.get(port)?.endpoints[0];
          if (endpoint === undefined) continue;
          found.push({ host: shape.host, destination: destinationOf(table, endpoint) });
        }
      }
    }
  }
  return found;
}
