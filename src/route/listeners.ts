// Which listeners the mesh has now.
import type { ListenerSpec } from '../snapshot/index.ts';
import type { RouteTable } from './table.ts';

/** Sorted by target port; empty until the mesh Services are there. */
export function listenersOf(table: RouteTable): readonly ListenerSpec[] {
  return table.mesh?.listeners ?? [];
}
