// The users' side of the cases about protocols: namespace `chat` with an app in two versions that
// speaks everything (programs/tongues.ts), and namespace `talk` with a friend, who may call it, and
// a stranger, who may not, on the app's node and on another one. All calls between nodes have to be
// in tunnels.
import type { From } from './calls.ts';
import { allRolledOut } from './cluster.ts';
import { apply, ended, kubectl, startKubectl, type Json } from './kubectl.ts';
import { client, namespaceWithPrograms, program, serviceAccount, trafficSplit } from './objects.ts';
import { twoNodes } from './vault.ts';

export const chatHost = 'chat.chat.mesh';
export const grpcUrl = `http://${chatHost}:9090`;

export type Who = 'friend' | 'stranger';

export function talkerOn(who: Who, node: string): From {
  return { namespace: 'talk', client: `${who}-${node}` };
}

const ports: readonly Json[] = [
  { name: 'http', port: 80, targetPort: 8080 },
  { name: 'grpc', port: 9090, targetPort: 9090, appProtocol: 'kubernetes.io/h2c' },
  { name: 'tcp-greeting', port: 6000, targetPort: 6000 },
  { name: 'udp-echo', port: 5300, targetPort: 5300, protocol: 'UDP' },
];

function chatService(name: string, selector: Json): Json {
  const metadata = { namespace: 'chat', name };
  return { apiVersion: 'v1', kind: 'Service', metadata, spec: { selector, ports } };
}

function route(kind: string, name: string, spec: Json): Json {
  const metadata = { namespace: 'chat', name };
  return { apiVersion: 'specs.smi-spec.io/v1alpha4', kind, metadata, spec };
}

/** The friend may say, count, listen to events and chat; talking is nobody's. */
const permissions: readonly Json[] = [
  route('HTTPRouteGroup', 'said', {
    matches: [
      { name: 'say', pathRegex: '/chat\\.Chat/(Say|Count)', methods: ['POST'] },
      { name: 'listen', pathRegex: '/(events|socket)?', methods: ['GET'] },
    ],
  }),
  route('TCPRoute', 'greeting', { matches: { name: 'greeting', ports: [6000] } }),
  route('UDPRoute', 'echo', { matches: { name: 'echo', ports: [5300] } }),
  ...[
    { name: 'said', kind: 'HTTPRouteGroup' },
    { name: 'greeting', kind: 'TCPRoute' },
    { name: 'echo', kind: 'UDPRoute' },
  ].map((rule) => ({
    apiVersion: 'access.smi-spec.io/v1alpha3',
    kind: 'TrafficTarget',
    metadata: { namespace: 'chat', name: rule.name },
    spec: {
      destination: { kind: 'ServiceAccount', name: 'chat', namespace: 'chat' },
      rules: [rule],
      sources: [{ kind: 'ServiceAccount', name: 'friend', namespace: 'talk' }],
    },
  })),
];

export async function createChat(): Promise<void> {
  const { far, home } = await twoNodes();
  const enforced = { 'weft.dev/policy': 'enforce', 'weft.dev/mtls': 'strict' };
  await apply([...namespaceWithPrograms('chat', enforced), ...namespaceWithPrograms('talk')]);
  await apply([
    serviceAccount('chat', 'chat'),
    ...['chat-v1', 'chat-v2'].flatMap((name) => [
      program('/programs/tongues.ts', {
        ...{ namespace: 'chat', name, serviceAccount: 'chat', nodeName: home, replicas: 2 },
        labels: { part: 'chat' },
      }),
      chatService(name, { app: name }),
    ]),
    chatService('chat', { part: 'chat' }),
    trafficSplit('chat', 'chat', { 'chat-v1': 80, 'chat-v2': 20 }),
    ...permissions,
    ...(['friend', 'stranger'] as const).flatMap((who) => [
      serviceAccount('talk', who),
      ...[far, home].map((nodeName) => {
        const { namespace, client: name } = talkerOn(who, nodeName);
        return client({ namespace, name, serviceAccount: who, nodeName });
      }),
    ]),
  ]);
  await Promise.all([allRolledOut('chat'), allRolledOut('talk')]);
}

/** What was heard in one talk; as programs/talk.ts writes it. */
export type Heard = {
  readonly texts: readonly string[];
  /** Of gRPC, or of HTTP. */
  readonly status: string;
  readonly error: string;
  readonly delaysMs?: readonly number[];
  readonly sent?: number;
};

/** Talks one after the other, as programs/talk.ts knows them. */
export async function talk(from: From, talks: readonly Json[]): Promise<readonly Heard[]> {
  const place = ['-n', from.namespace, `deploy/${from.client}`];
  const command = ['node', '/programs/talk.ts', JSON.stringify(talks)];
  const told = await kubectl(['exec', ...place, '--', ...command], { timeoutMs: 120_000 });
  return JSON.parse(told) as readonly Heard[];
}

export async function talkOnce(from: From, one: Json): Promise<Heard> {
  const [heard] = await talk(from, [one]);
  if (heard === undefined) throw new Error('nothing was heard');
  return heard;
}

export type LongTalk = { readonly stop: () => Promise<Heard> };

/** Resolves when the talk has begun; it goes on until `stop`, or until the app's side ends it. */
export async function startTalk(from: From, one: Json): Promise<LongTalk> {
  const place = ['-n', from.namespace, `deploy/${from.client}`];
  const command = ['node', '/programs/talk.ts', JSON.stringify([one])];
  const child = startKubectl(['exec', '-i', ...place, '--', ...command]);
  const end = ended(child, `talk from ${from.client}`, { timeoutMs: 240_000 });
  end.catch(() => undefined);
  await new Promise<void>((resolve, reject) => {
    child.stderr?.on('data', (text: string) => {
      if (text.includes('started')) resolve();
    });
    end.then(({ stderr }) => reject(new Error(`ended before it began: ${stderr}`)), reject);
  });
  return {
    stop: async () => {
      child.stdin?.end();
      const { status, stdout, stderr } = await end;
      if (status !== 0) throw new Error(`talk from ${from.client} ended with ${status}: ${stderr}`);
      const [heard] = JSON.parse(stdout) as readonly Heard[];
      if (heard === undefined) throw new Error('nothing was heard');
      return heard;
    },
  };
}
