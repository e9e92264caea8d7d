// Door of `dns`: mesh names as answers to DNS queries, and the configuration of those who resolve
// names for the cluster (CoreDNS, kube-dns, NodeLocal DNSCache) as text in, patched text out. The
// sockets are the proxy's, reading and writing ConfigMaps is the controller's.
export { answerQuery } from './answer.ts';
export { isOneLabel, zonesOfDomain } from './mesh-zones.ts';
export { defaultListen, renderBlocks } from './mesh-block.ts';
export type * from './mesh-block.ts';
export {
  corefileListen,
  hasMeshBlocks,
  importsFile,
  patchCorefile,
  removeFromCorefile,
} from './patch-corefile.ts';
export type * from './patch-corefile.ts';
export { foreignStubZones, patchStubDomains, removeStubDomains } from './stub-domains.ts';
export type * from './stub-domains.ts';
export { buildZone, type MeshZone } from './zone.ts';
