// Whether a flow's pod still takes traffic of its Service: what a flow of datagrams has to be
// asked, since no connection of it ends that would say so.
import type { SectionId } from '../snapshot/index.ts';
import type { RouteTable } from './table.ts';
import type { Backend, Endpoint } from './types.ts';

/** Whether `endpoint` is one of the backend's, a UDP port's, under this table. */
export function servesUdp(table: RouteTable, backend: Backend, endpoint: Endpoint): boolean {
  // As `snapshot` spells it.
  const section = `endpoints/${backend.namespace}/${backend.service}` as SectionId;
  const now = table.endpoints.get(section)?.udpBackends.get(backend.port);
  if (now === backend) return true;
  return now?.endpoints.some(({ id }) => id === endpoint.id) === true;
}
