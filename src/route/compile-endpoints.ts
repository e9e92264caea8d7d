// An endpoints section → its backends, by port of the Service.
import { normaliseAddress } from '../lib/address.ts';
import { backendId, endpointId, type EndpointsSection } from '../snapshot/index.ts';
import type { EndpointsPiece } from './table.ts';
import type { Backend, Endpoint } from './types.ts';

export function compileEndpoints(hash: string, section: EndpointsSection): EndpointsPiece {
  const { namespace, service } = section;
  const backends = new Map<number, Backend>();
  for (const { port, scheme, endpoints: specs } of section.backends) {
    const endpoints = specs.map((spec): Endpoint => {
      // One spelling, because the address is looked up among the node part's bindings.
      const address = normaliseAddress(spec.address) ?? spec.address;
      return {
        id: endpointId(address, spec.port),
        namespace,
        address,
        port: spec.port,
        nodeName: spec.nodeName,
        podName: spec.podName,
      };
    });
    const id = backendId(namespace, service, port);
    backends.set(port, { id, namespace, service, port, scheme, endpoints });
  }
  return { hash, backends };
}
