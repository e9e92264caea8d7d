// Door of `playground`: an embedded API server, a cluster simulator and the demo that ties them to
// the production processes. For demos and tests; nothing of it runs in a cluster.
export { startApiServer, type ApiServer, type ApiServerOptions } from './server/api-server.ts';
export type { TokenBinding } from './server/auth.ts';
export type { Fault, FaultRequest, FaultRule, Faults } from './server/faults.ts';
export { startSimulator, type Simulator, type SimulatorOptions } from './cluster/simulator.ts';
export { runDemo, type DemoOptions } from './demo/demo.ts';
