// Door of `topology`: objects → topology → snapshot, addresses → node part, wishes → ports; and the
// facts of the mesh Services that the controller writes by.
export type { AddressBook, AddressInput } from './bind-addresses.ts';
export type * from './topology.ts';
export { allocatePorts } from './allocate-ports.ts';
export type { Allocation, AllocationInput } from './allocate-ports.ts';
export { bindAddresses } from './bind-addresses.ts';
export { bindPeers, peersServiceName } from './bind-peers.ts';
export type { PeerBook, PeerInput } from './bind-peers.ts';
export { buildTopology } from './build.ts';
export { compileSnapshot } from './compile.ts';
export {
  givenPortsOf,
  httpServiceName,
  leftAnnotation,
  portNameOf,
  portsAnnotation,
  portServiceNames,
} from './mesh-services.ts';
export type { GivenPort, GivenPorts, MeshFacts } from './mesh-services.ts';
export { readNeighbours } from './neighbours.ts';
export type { Neighbours } from './neighbours.ts';
export { sortedProblems } from './problems.ts';
