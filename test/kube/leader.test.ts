// Two real `weft controller` processes on a real API server, one of which leads: it is killed, and
// writes go on; it is paused, and writes nothing when it wakes up. Who wrote what is read from the
// API server's audit log: each process has a user of its own.
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openConnection } from '../../src/kube/index.ts';
import type { Connection } from '../../src/kube/index.ts';
import { realRuntime } from '../../src/main/runtime.ts';
import { installDefinitions } from '../support/status-suite.ts';
import { startControlPlane, type ControlPlane } from './support/control-plane.ts';
import { until } from './support/until.ts';

type AuditEntry = {
  readonly verb: string;
  readonly user: { readonly username: string };
  readonly requestReceivedTimestamp: string;
  readonly objectRef?: { readonly resource?: string; readonly name?: string };
  readonly responseStatus?: { readonly code?: number };
};
type Split = {
  readonly status?: { readonly conditions?: readonly { readonly type: string }[] };
};

const names = ['a', 'b'] as const;
type Name = (typeof names)[number];
const splits = '/apis/split.smi-spec.io/v1alpha4/namespaces/shop/trafficsplits';

let directory: string;
let plane: ControlPlane;
let admin: Connection;
const processes = new Map<Name, ChildProcess>();

async function start(name: Name): Promise<void> {
  const kubeconfig = join(directory, `${name}.kubeconfig`);
  const text = await readFile(plane.kubeconfigPath, 'utf8');
  await writeFile(kubeconfig, text.replace(plane.token, `token-${name}`));
  const port = name === 'a' ? '15021' : '15022';
  const flags = ['--admin-port', port, '--bind-address', '127.0.0.1', '--pod-name', name];
  const args = ['dist/weft.js', 'controller', '--kubeconfig', kubeconfig, ...flags];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'ignore'] });
  processes.set(name, child);
  await until(`${name} is ready`, async () => {
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined);
    return answer?.status === 200;
  });
}

/** Who holds the lease, as its pod name. */
async function holder(): Promise<Name | undefined> {
  const path = '/apis/coordination.k8s.io/v1/namespaces/weft-system/leases/weft-controller';
  const lease = (await admin.get(path)) as { spec: { holderIdentity?: string } };
  return names.find((name) => lease.spec.holderIdentity?.startsWith(`${name}_`));
}

async function leader(): Promise<Name> {
  let found: Name | undefined;
  await until('somebody leads', async () => (found = await holder()) !== undefined);
  return found ?? 'a';
}

async function createSplit(name: string): Promise<void> {
  await admin.create(splits, {
    apiVersion: 'split.smi-spec.io/v1alpha4',
    kind: 'TrafficSplit',
    metadata: { name, namespace: 'shop' },
    spec: { service: name, backends: [{ service: 'gone', weight: 1 }] },
  });
}

async function hasConditions(name: string): Promise<boolean> {
  const { status } = (await admin.get(`${splits}/${name}`)) as Split;
  return (status?.conditions ?? []).length === 3;
}

/** Writes of one of the processes that began after `sinceMs`, but for those of its lease. */
async function writesOf(name: Name, sinceMs: number): Promise<readonly string[]> {
  const log = await readFile(join(directory, 'audit.log'), 'utf8');
  // The last line may be half written.
  const lines = log.split('\n').slice(0, -1);
  return lines
    .map((line) => JSON.parse(line) as AuditEntry)
    .filter(
      ({ verb, user, objectRef, requestReceivedTimestamp }) =>
        user.username === `weft-${name}` &&
        ['create', 'update', 'patch', 'delete'].includes(verb) &&
        objectRef?.resource !== 'leases' &&
        Date.parse(requestReceivedTimestamp) > sinceMs,
    )
    .map(({ verb, objectRef, responseStatus }) => {
      return `${verb} ${objectRef?.resource}/${objectRef?.name} ${responseStatus?.code}`;
    });
}

const other = (name: Name): Name => (name === 'a' ? 'b' : 'a');

function signal(name: Name, which: NodeJS.Signals): void {
  processes.get(name)?.kill(which);
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'weft-leader-'));
  const policy = join(directory, 'policy.yaml');
  await writeFile(
    policy,
    'apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived, ResponseStarted]\n' +
      'rules: [{level: Metadata}]\n',
  );
  plane = await startControlPlane({
    serverFlags: [
      `--audit-policy-file=${policy}`,
      `--audit-log-path=${join(directory, 'audit.log')}`,
    ],
    users: names.map((name) => `token-${name},weft-${name},weft-${name},"system:masters"`),
  });
  const source = { kind: 'kubeconfig', file: plane.kubeconfigPath, context: undefined } as const;
  admin = await openConnection(source, realRuntime);
  await installDefinitions(admin);
  for (const name of ['weft-system', 'shop']) {
    const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
    await admin.create('/api/v1/namespaces', namespace);
  }
  await Promise.all(names.map(start));
}, 90_000);

afterAll(async () => {
  for (const child of processes.values()) child.kill('SIGKILL');
  await admin.close();
  await plane.stop();
  await rm(directory, { recursive: true, force: true });
});

describe('of two controllers', () => {
  test('one leads and writes, the other writes nothing', async () => {
    await createSplit('first');
    await until('it has conditions', () => hasConditions('first'));
    const led = await leader();
    expect((await writesOf(led, 0)).length).toBeGreaterThan(0);
    expect(await writesOf(other(led), 0)).toEqual([]);
  });

  test('when the one that leads is killed, writes go on within 20 s', async () => {
    const killed = await leader();
    signal(killed, 'SIGKILL');
    await createSplit('after-kill');
    await until('it has conditions', () => hasConditions('after-kill'), 20_000);
    expect(await leader()).toBe(other(killed));
    await start(killed);
  });

  test('when the one that leads is told to end amid its writes, the other goes on', async () => {
    const ended = await leader();
    const some = Array.from({ length: 60 }, (_, index) => `some-${index}`);
    await Promise.all(some.map(createSplit));
    await until('it has begun', () => hasConditions('some-0'));
    const endedMs = Date.now();
    signal(ended, 'SIGTERM');
    // A follower looks every 2.4 s at most; nothing waits for the lease to run out.
    await until('the other one leads', async () => (await holder()) === other(ended), 6_000);
    console.log(`the other one leads after ${Date.now() - endedMs} ms`);
    await until('all have conditions', async () => {
      for (const name of some) if (!(await hasConditions(name))) return false;
      return true;
    });
    expect((await writesOf(other(ended), endedMs)).length).toBeGreaterThan(0);
    await start(ended);
  });

  test('one that was paused while it led writes nothing when it wakes up', async () => {
    const paused = await leader();
    const many = Array.from({ length: 120 }, (_, index) => `many-${index}`);
    await Promise.all(many.map(createSplit));
    // In the midst of its writes: more of them are waiting for their turn.
    await until('it has begun', () => hasConditions('many-0'));
    expect(await hasConditions('many-119')).toBe(false);
    signal(paused, 'SIGSTOP');
    await until('the other one leads', async () => (await holder()) === other(paused), 25_000);
    const wokenMs = Date.now();
    signal(paused, 'SIGCONT');
    await createSplit('after-pause');
    await until('all have conditions', async () => {
      for (const name of [...many, 'after-pause']) if (!(await hasConditions(name))) return false;
      return true;
    });
    expect((await writesOf(other(paused), wokenMs)).length).toBeGreaterThan(0);
    // A process can be stopped between its last look at the lease and the kernel's write. What is
    // in between goes out when it wakes: one request at most, which carries the object's version,
    // so that it is taken only where nobody has written since (each object once: the next test).
    expect((await writesOf(paused, wokenMs)).length).toBeLessThanOrEqual(1);
  }, 90_000);

  test('each object was written once for what it says', async () => {
    const all = [...(await writesOf('a', 0)), ...(await writesOf('b', 0))];
    const taken = all.filter((line) => line.startsWith('patch trafficsplits/many-'));
    const successes = taken.filter((line) => line.endsWith(' 200'));
    expect(new Set(successes).size).toBe(120);
    expect(successes).toHaveLength(120);
  });
});
