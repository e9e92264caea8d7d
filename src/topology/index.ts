// Door of `topology`: objects → topology → snapshot, addresses → node part, slices of proxies →
// peers, wishes → ports; and the facts of the mesh Services that the controller writes by.
export type * from './allocate-ports.ts';
export type * from './bind-addresses.ts';
export type * from './bind-peers.ts';
export type * from './mesh-services.ts';
export type * from './neighbours.ts';
export type * from './topology.ts';
export { allocatePorts } from './allocate-ports.ts';
export { bindAddresses } from './bind-addresses.ts';
export { bindPeers, peersService } from './bind-peers.ts';
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
export { readNeighbours } from './neighbours.ts';
export { sortedProblems } from './problems.ts';
