// Which listeners the mesh has now. Opening and closing them is the data plane's; here is only what
// the mesh Services say.
import type { ListenerSpec } from '../snapshot/index.ts';
import type { RouteTable } from './table.ts';

/** Sorted by target port; empty until the mesh Services are there. */
export function listenersOf(table: RouteTable): readonly ListenerSpec[] {
  return table.mesh?.listeners ?? [];
}
