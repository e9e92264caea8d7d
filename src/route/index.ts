// Door of `route`: what the data plane asks of a compiled snapshot. Everything here is pure; what
// changes between two requests (turns, load, chance) comes in as an argument.
export type * from './types.ts';
export type * from './table.ts';
export { authorise, authoriseFlow, destinationOf } from './authorise.ts';
export { compileTable, withNodePart, withPeers } from './compile-table.ts';
export { decide, decideFlow } from './decide.ts';
export { listenersOf } from './listeners.ts';
export { pickBackend } from './pick-backend.ts';
export { pickEndpoint } from './pick-endpoint.ts';
export { servesUdp } from './serving.ts';
export { sourceOf, sourceOfPeer, unauthenticated } from './source.ts';
export { splitDestinations } from './split-destinations.ts';
export { endpointOfTunnel } from './tunnel.ts';
export { wayTo } from './way.ts';
