// An endpoints section → its backends, by port of the Service. No endpoint is added or left out:
// which ones take traffic was decided when the section was compiled, in whose addresses the node
// part's bindings are found as they are spelled.
import { createHash } from 'node:crypto';
import { backendId, endpointId } from '../snapshot/index.ts';
import type { EndpointsSection, PodTlsSpec } from '../snapshot/index.ts';
import type { EndpointsPiece } from './table.ts';
import type { Backend, Endpoint, PodTls } from './types.ts';

export function compileEndpoints(section: EndpointsSection): EndpointsPiece {
  const { namespace, service } = section;
  const backends = new Map<number, Backend>();
  const udpBackends = new Map<number, Backend>();
  for (const { port, transport, scheme, tls: said, endpoints: specs } of section.backends) {
    const endpoints = specs.map((spec): Endpoint => {
      const { address, port: podPort, nodeName, podName } = spec;
      const id = endpointId(address, podPort, transport);
      return { id, namespace, address, port: podPort, nodeName, podName };
    });
    const id = backendId(namespace, service, port, transport);
    const byPort = transport === 'udp' ? udpBackends : backends;
    const backend = { id, namespace, service, port, scheme, endpoints };
    const isSecure = scheme === 'https';
    byPort.set(port, isSecure ? { ...backend, tls: podTls(said ?? untrusted) } : backend);
  }
  return { backends, udpBackends };
}

/** Of a snapshot that says no more: nothing plain goes to its pods, and no certificate will do. */
const untrusted: PodTlsSpec = { serverName: '', trust: 'nobody' };

/** Bundles are long, and requests look pools up by this. */
function podTls({ serverName, trust }: PodTlsSpec): PodTls {
  const roots = typeof trust === 'string'
    ? trust
    : createHash('sha256').update(trust.pem).digest('base64');
  return { serverName, trust, key: `${serverName} ${roots}` };
}
