// An endpoints section → its backends, by port of the Service. No endpoint is added or left out:
// which ones take traffic was decided when the section was compiled, in whose addresses the node
// part's bindings are found as they are spelled.
import { backendId, endpointId, type EndpointsSection } from '../snapshot/index.ts';
import type { EndpointsPiece } from './table.ts';
import type { Backend, Endpoint } from './types.ts';

export function compileEndpoints(section: EndpointsSection): EndpointsPiece {
  const { namespace, service } = section;
  const backends = new Map<number, Backend>();
  const udpBackends = new Map<number, Backend>();
  for (const { port, transport, scheme, endpoints: specs } of section.backends) {
    const endpoints = specs.map((spec): Endpoint => {
      const { address, port: podPort, nodeName, podName } = spec;
      const id = endpointId(address, podPort, transport);
      return { id, namespace, address, port: podPort, nodeName, podName };
    });
    const id = backendId(namespace, service, port, transport);
    const byPort = transport === 'udp' ? udpBackends : backends;
    byPort.set(port, { id, namespace, service, port, scheme, endpoints });
  }
  return { backends, udpBackends };
}
