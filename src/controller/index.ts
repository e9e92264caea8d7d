// Door of `controller`: the process that writes to Kubernetes.
// Tests start it with their own connection; `main` launches it from flags.
export { launchController } from './launch-controller.ts';
export type { ControllerSettings } from './settings.ts';
export { startController } from './start-controller.ts';
export type { Controller, ControllerOptions } from './start-controller.ts';
