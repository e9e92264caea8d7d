// Door of `dns`: mesh names as answers to DNS queries. The sockets are the proxy's; who resolves
// names for the cluster (CoreDNS, kube-dns) is told about this zone elsewhere.
export { answerQuery } from './answer.ts';
export { buildZone, type MeshZone } from './zone.ts';
