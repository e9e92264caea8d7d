// Door of `identity` for everybody, workers among them: names only, no packages.
// Making certificates is behind control.ts.
export { formatSpiffeId, isTrustDomain, parseSpiffeId } from './spiffe.ts';
export type { SpiffeId, WorkloadIdentity } from './spiffe.ts';
