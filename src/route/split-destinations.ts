// Which workloads the splits of a table lead to, before any request has gone there: canary tools
// ask for the series of a new backend at once, and no sample is a failed check to them.
import { destinationOf } from './authorise.ts';
import { backendAt } from './compile-service.ts';
import type { BackendRef, RouteTable, ServiceShape } from './table.ts';
import type { Destination, VirtualHost } from './types.ts';

export type SplitDestination = {
  /** The service whose split it is. */
  readonly host: VirtualHost;
  readonly destination: Destination;
};

/** One per backend of every split with two backends or more: the workload of its first endpoint. */
export function splitDestinations(table: RouteTable): readonly SplitDestination[] {
  return [...table.services.values()].flatMap(({ shape }) =>
    splitBackends(shape).flatMap((ref) => {
      const endpoint = backendAt(ref, table.endpoints)?.endpoints[0];
      if (endpoint === undefined) return [];
      return [{ host: shape.host, destination: destinationOf(table, endpoint) }];
    }),
  );
}

function splitBackends({ ports }: ServiceShape): readonly BackendRef[] {
  const routes = ports.flatMap(({ protocol, routes: all }) => (protocol === 'http' ? all : []));
  return routes.flatMap(({ backends }) => (backends.length < 2 ? [] : backends));
}
