// TCPRoute and UDPRoute (specs.smi-spec.io, every version) → the ports that they name. Before
// v1alpha4 they name none, which means all ports; so does an empty list.
import { parseObject, type Draft } from './draft.ts';
import { asObject, asPort, describeValue, valueAt } from './json.ts';
import type { Parsed } from './object.ts';
import type { TcpRoute, UdpRoute } from './smi.ts';
import { readList } from './smi-fields.ts';

/** Parses a TCPRoute by its shape. */
export function parseTcpRoute(input: unknown): Parsed<TcpRoute> {
  return parseObject('TCPRoute', input, (draft) => {
    const ports = readPorts(draft);
    if (ports === 'invalid') return undefined;
    return { kind: 'TCPRoute', meta: draft.meta, ports };
  });
}

/** Parses a UDPRoute by its shape. */
export function parseUdpRoute(input: unknown): Parsed<UdpRoute> {
  return parseObject('UDPRoute', input, (draft) => {
    const ports = readPorts(draft);
    if (ports === 'invalid') return undefined;
    return { kind: 'UDPRoute', meta: draft.meta, ports };
  });
}

/** Sorted, each once; `undefined` = all. A route whose ports are all wrong is invalid, not open. */
function readPorts(draft: Draft): readonly number[] | undefined | 'invalid' {
  const spec = readPart(draft, 'spec', valueAt(draft.root, 'spec'));
  if (spec === 'invalid') return 'invalid';
  const matches = readPart(draft, 'spec.matches', valueAt(spec, 'matches'));
  if (matches === 'invalid') return 'invalid';
  const value = valueAt(matches, 'ports') ?? undefined;
  if (value === undefined) return undefined;
  const list = readList(draft, 'spec.matches.ports', value);
  if (list === undefined) return 'invalid';
  if (list.length === 0) return undefined;
  const ports = new Set<number>();
  for (const [index, item] of list.entries()) {
    const port = asPort(item);
    if (port === undefined) {
      const what = `spec.matches.ports[${index}] is ${describeValue(item)}`;
      draft.report('InvalidObject', `${what}: it is left out, write a number from 1 to 65535`);
    } else {
      ports.add(port);
    }
  }
  return ports.size === 0 ? 'invalid' : [...ports].sort((left, right) => left - right);
}

/** An optional object; absent and null are the same here, anything else is wrong. */
function readPart(draft: Draft, path: string, value: unknown) {
  if (value === undefined || value === null) return undefined;
  const object = asObject(value);
  if (object !== undefined) return object;
  draft.report('InvalidObject', `${path} is ${describeValue(value)}: write an object`);
  return 'invalid';
}
