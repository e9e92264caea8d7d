// Door of `controller`: the process that writes to Kubernetes. Tests start it with their own
// connection; `main` launches it from flags. What it does to the DNS of the cluster the command
// line looks at and takes out again; for a new root the command line asks it.
export { findDnsTraces, unwireDns } from './dns/unwire-dns.ts';
export type { DnsCleaning, DnsTrace } from './dns/unwire-dns.ts';
export { inspectDns } from './dns/inspect-dns.ts';
export type { DnsPlaceReport, DnsReport } from './dns/inspect-dns.ts';
export { askRotation } from './identity/ask-rotation.ts';
export type { AskRotationOptions, RotationOutcome } from './identity/ask-rotation.ts';
export { launchController } from './launch-controller.ts';
export type { ControllerSettings } from './settings.ts';
export { startController } from './start-controller.ts';
export type { Controller, ControllerOptions } from './start-controller.ts';
