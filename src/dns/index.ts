// Door of `dns`: mesh names as answers to DNS queries. The sockets are the proxy's.
export { answerQuery } from './answer.ts';
export { buildZone, type MeshZone } from './zone.ts';
