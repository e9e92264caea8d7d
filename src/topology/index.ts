// Door of `topology`: objects → topology → snapshot, addresses → node part, wishes → ports; and the
// facts of the mesh Services that the controller writes by.
export type { AddressBook, AddressInput } from './bind-addresses.ts';
export type * from './topology.ts';
export { bindAddresses } from './bind-addresses.ts';
export { buildTopology } from './build.ts';
export { compileSnapshot } from './compile.ts';
export { allocatePorts, httpMeshService, httpServiceName } from './mesh-services.ts';
export { sortedProblems } from './problems.ts';
