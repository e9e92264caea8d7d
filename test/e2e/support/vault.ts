// The users' side of the cases about identity: namespace `vault` enforces policy and has a ledger
// on one node; namespace `desk` has a teller, who may read it, and a thief, who may not, on that
// node and on another one.
import { call, type Answer, type From } from './calls.ts';
import { allRolledOut, nodeNames } from './cluster.ts';
import { apply, type Json } from './kubectl.ts';
import { client, namespaceWithPrograms, server, service, serviceAccount } from './objects.ts';

export const ledgerHost = 'ledger.vault.mesh';
export const ledgerUrl = `http://${ledgerHost}/`;

export type Who = 'teller' | 'thief';

export function deskOn(who: Who, node: string): From {
  return { namespace: 'desk', client: `${who}-${node}` };
}

/** The node that only calls, and the one that the ledger is on. */
export async function twoNodes(): Promise<{ readonly far: string; readonly home: string }> {
  const [far, home] = await nodeNames();
  if (far === undefined || home === undefined) throw new Error('needs two nodes');
  return { far, home };
}

export function ledgerOn(node: string): Json {
  return server({ namespace: 'vault', name: 'ledger', serviceAccount: 'ledger', nodeName: node });
}

/** Identity desk/teller may call the ledger, whatever the method. */
const permission: Json = {
  apiVersion: 'access.smi-spec.io/v1alpha3',
  kind: 'TrafficTarget',
  metadata: { namespace: 'vault', name: 'ledger' },
  spec: {
    destination: { kind: 'ServiceAccount', name: 'ledger', namespace: 'vault' },
    rules: [{ kind: 'HTTPRouteGroup', name: 'all' }],
    sources: [{ kind: 'ServiceAccount', name: 'teller', namespace: 'desk' }],
  },
};

const routes: Json = {
  apiVersion: 'specs.smi-spec.io/v1alpha4',
  kind: 'HTTPRouteGroup',
  metadata: { namespace: 'vault', name: 'all' },
  spec: { matches: [{ name: 'all', pathRegex: '/.*', methods: ['*'] }] },
};

export async function createVault(): Promise<void> {
  const { far, home } = await twoNodes();
  const enforced = { 'weft.dev/policy': 'enforce' };
  await apply([...namespaceWithPrograms('vault', enforced), ...namespaceWithPrograms('desk')]);
  await apply([
    serviceAccount('vault', 'ledger'),
    ledgerOn(home),
    service('vault', 'ledger', { app: 'ledger' }),
    routes,
    permission,
    ...(['teller', 'thief'] as const).flatMap((who) => [
      serviceAccount('desk', who),
      ...[far, home].map((nodeName) => {
        const { namespace, client: name } = deskOn(who, nodeName);
        return client({ namespace, name, serviceAccount: who, nodeName });
      }),
    ]),
  ]);
  await Promise.all([allRolledOut('vault'), allRolledOut('desk')]);
}

/** What the ledger was asked; as programs/app.ts writes it. */
export type Seen = {
  readonly pod: string;
  readonly headers: Readonly<Record<string, string>>;
};

export function seenIn({ body }: Answer): Seen {
  return JSON.parse(body) as Seen;
}

export async function askLedger(
  from: From,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const [answer] = await call(from, [{ url: ledgerUrl, headers }]);
  if (answer === undefined) throw new Error('no answer');
  return answer;
}
