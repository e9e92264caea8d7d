// The table of all parsers. The store and the embedded API server look a kind up here; nobody calls
// a parser by name, so that a kind cannot be forgotten.
import type { Kind } from './object.ts';
import { parseNamespace, parseNode, parseServiceAccount } from './parse-core.ts';
import { parseEndpointSlice } from './parse-endpoint-slice.ts';
import { parseHttpRouteGroup } from './parse-http-route-group.ts';
import { parsePod } from './parse-pod.ts';
import { parseTcpRoute, parseUdpRoute } from './parse-port-route.ts';
import { parseService } from './parse-service.ts';
import { parseTrafficSplit } from './parse-traffic-split.ts';
import { parseTrafficTarget } from './parse-traffic-target.ts';
import type { ObjectParser } from './state.ts';

/** The parser of each kind. */
export const parsers: { readonly [K in Kind]: ObjectParser<K> } = {
  Service: parseService,
  EndpointSlice: parseEndpointSlice,
  Pod: parsePod,
  Node: parseNode,
  Namespace: parseNamespace,
  ServiceAccount: parseServiceAccount,
  TrafficTarget: parseTrafficTarget,
  HTTPRouteGroup: parseHttpRouteGroup,
  TCPRoute: parseTcpRoute,
  UDPRoute: parseUdpRoute,
  TrafficSplit: parseTrafficSplit,
};
