// Which protocol a Service port speaks. In this order: the Service's annotation for the port, its
// annotation for all ports, the same two of the Namespace, the port's `appProtocol`, the prefix of
// its name, well-known ports, and else HTTP on TCP and UDP on UDP. And which HTTP its pods speak
// where no annotation says so.
import type { Namespace, Service, ServicePort } from './core.ts';
import { settingTable, type Setting } from './defaults.ts';
import type { Problem } from './object.ts';
import { ignore, readFrom, reporter } from './resolve-settings.ts';
import type { Resolved, TrafficType } from './settings.ts';

const words: ReadonlyMap<string, TrafficType> = new Map<string, TrafficType>([
  ...['http', 'http2', 'h2c', 'grpc', 'ws'].map((word) => [word, 'http'] as const),
  ...[
    'https', 'tls', 'wss', 'tcp', 'redis', 'mysql', 'postgres', 'postgresql', 'mongo', 'mongodb',
    'kafka', 'amqp', 'mssql', 'ldap', 'ldaps', 'smtp', 'ssh', 'nats', 'memcached', 'cassandra',
  ].map((word) => [word, 'tcp'] as const),
  ['udp', 'udp'],
]);

/** Ports whose server speaks first, or TLS: reading them as HTTP would break them. */
const tcpPorts: ReadonlySet<number> = new Set([25, 443, 3306, 5432, 6379, 9092, 27017]);

/** Also how to speak to the pods of an HTTP port whose Service says nothing of it. */
type Speaking = Resolved<TrafficType> & { readonly scheme: 'http' | 'h2c' };

/** Traffic type of a port. SCTP is not served: leave such ports out before asking. */
export function trafficTypeOf(
  service: Service,
  port: ServicePort,
  namespace: Namespace | undefined,
): Speaking {
  const problems: Problem[] = [];
  const report = reporter(service, problems);
  const ownWord = annotatedType(service, port, report);
  const shared = annotatedType(namespace, port, ignore);
  const said = wordOf(port.appProtocol?.toLowerCase().replace(/^kubernetes\.io\//, '') ?? '');
  const candidates: readonly (TrafficType | undefined)[] = [
    ownWord, shared, said, wordOf(port.name.toLowerCase()),
  ];
  if (contradicts(ownWord, port)) {
    report(`traffic type ${ownWord} contradicts port ${port.port}/${port.protocol}: it is ignored`);
  } else if (ownWord === undefined && contradicts(said, port)) {
    const what = `appProtocol ${port.appProtocol} contradicts port ${port.port}/${port.protocol}`;
    report(`${what}: it is ignored`);
  }
  const chosen = candidates.find((type) => type !== undefined && !contradicts(type, port));
  return { value: chosen ?? defaultType(port), scheme: schemeOf(port), problems };
}

/** Words for HTTP/2 with prior knowledge; who speaks gRPC speaks nothing else. */
const http2Words: ReadonlySet<string> = new Set(['http2', 'h2c', 'grpc']);

function schemeOf({ appProtocol, name }: ServicePort): 'http' | 'h2c' {
  const said = appProtocol?.toLowerCase().replace(/^kubernetes\.io\//, '') ?? '';
  const word = wordOf(said) === undefined ? name.toLowerCase() : said;
  return http2Words.has(word.split('-', 1)[0] ?? '') ? 'h2c' : 'http';
}

function annotatedType(
  object: Service | Namespace | undefined,
  port: ServicePort,
  report: (message: string) => void,
): TrafficType | undefined {
  return (
    readFrom(object, ofPort(port), report) ?? readFrom(object, settingTable.trafficType, ignore)
  );
}

/** `traffic-type.<name>` and `traffic-type.<number>` of one port. */
function ofPort(port: ServicePort): Setting<TrafficType | undefined> {
  const { trafficType } = settingTable;
  const read = trafficType.spellings[0]?.read;
  const ends = port.name === '' ? [`${port.port}`] : [port.name, `${port.port}`];
  const spellings =
    read === undefined ? [] : ends.map((end) => ({ key: `weft.dev/traffic-type.${end}`, read }));
  return { ...trafficType, spellings };
}

/** `redis` and `redis-cache` are redis, `rediska` is not. */
function wordOf(name: string): TrafficType | undefined {
  return words.get(name.split('-', 1)[0] ?? '');
}

function contradicts(type: TrafficType | undefined, port: ServicePort): boolean {
  return type !== undefined && (type === 'udp') !== (port.protocol === 'UDP');
}

function defaultType(port: ServicePort): TrafficType {
  if (port.protocol === 'UDP') return 'udp';
  return tcpPorts.has(port.port) ? 'tcp' : 'http';
}
