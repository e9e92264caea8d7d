// Connections, server-side apply and the Lease against a real kube-apiserver.
// How the network fails is the matter of src/kube/transport.test.ts.
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { campaign, kubeReason, openConnection, resourcePath } from '../../src/kube/index.ts';
import type { Campaign, Connection } from '../../src/kube/index.ts';
import { silentLog } from '../../src/telemetry/index.ts';
import type { ControlPlane } from './support/control-plane.ts';
import { startControlPlane } from './support/control-plane.ts';
import { serviceManifest } from './support/objects.ts';
import { realRuntime } from './support/runtime.ts';
import { until } from './support/until.ts';

let plane: ControlPlane;
let admin: Connection;
const opened: Connection[] = [];
const core = { group: '', version: 'v1' };
const services = resourcePath({ ...core, plural: 'services', namespace: 'default' });

/** A connection over a kubeconfig with this cluster and this user. */
async function openAs(name: string, cluster: string, user: string): Promise<Connection> {
  const file = `${plane.kubeconfigPath}-${name}`;
  await writeFile(
    file,
    `current-context: x
contexts: [{name: x, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: ${cluster}}]
users: [{name: u, user: ${user}}]`,
  );
  const source = { kind: 'kubeconfig', file, context: undefined } as const;
  const connection = await openConnection(source, realRuntime);
  opened.push(connection);
  return connection;
}

async function reasonOf(action: Promise<unknown>): Promise<string | undefined> {
  return action.then(
    () => undefined,
    (error: unknown) => kubeReason(error),
  );
}

beforeAll(async () => {
  plane = await startControlPlane({ users: ['limited-token,limited,limited'] });
  admin = await openAs('admin', insecure(), `{token: ${plane.token}}`);
});

afterAll(async () => {
  for (const connection of opened) await connection.close();
  await plane.stop();
});

function insecure(): string {
  return `{server: "${plane.url}", insecure-skip-tls-verify: true}`;
}

describe('a connection', () => {
  test('trusts the configured authority and nobody else', async () => {
    const certificates = join(dirname(plane.kubeconfigPath), 'certs');
    const authority = `certificate-authority: ${certificates}/apiserver.crt`;
    const trusted = `{server: "${plane.url}", ${authority}}`;
    const user = `{token: ${plane.token}}`;
    const good = await openAs('trusted', trusted, user);
    expect(await reasonOf(good.get('/api'))).toBeUndefined();
    const bad = await openAs('untrusted', `{server: "${plane.url}"}`, user);
    expect(await reasonOf(bad.get('/api'))).toBe('Untrusted');
    expect(await readFile(`${certificates}/apiserver.crt`, 'utf8')).toContain('CERTIFICATE');
  });

  test('tells a wrong token from a missing right', async () => {
    const wrong = await openAs('wrong', insecure(), '{token: wrong}');
    expect(await reasonOf(wrong.get(services))).toBe('Unauthorized');
    const limited = await openAs('limited', insecure(), '{token: limited-token}');
    expect(await reasonOf(limited.get(services))).toBe('Forbidden');
  });

  test('gets its token from a program where the kubeconfig says so', async () => {
    const credential = {
      apiVersion: 'client.authentication.k8s.io/v1',
      kind: 'ExecCredential',
      status: { token: plane.token },
    };
    const script = join(dirname(plane.kubeconfigPath), 'plugin.json');
    await writeFile(script, JSON.stringify(credential));
    const exec = `{apiVersion: client.authentication.k8s.io/v1, command: cat, args: ["${script}"]}`;
    const connection = await openAs('exec', insecure(), `{exec: ${exec}}`);
    expect(await reasonOf(connection.get(services))).toBeUndefined();
  });

  test('takes a new token from its file when the old one is refused', async () => {
    const file = join(dirname(plane.kubeconfigPath), 'rotating-token');
    await writeFile(file, 'not-yet-valid');
    const connection = await openAs('rotating', insecure(), `{tokenFile: "${file}"}`);
    expect(await reasonOf(connection.get(services))).toBe('Unauthorized');
    await writeFile(file, plane.token);
    await until('the new token is used', async () => {
      return (await reasonOf(connection.get(services))) === undefined;
    });
  });

  test('names the reason of a refused object', async () => {
    const broken = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'x' }, spec: {} };
    expect(await reasonOf(admin.create(services, broken))).toBe('Invalid');
    expect(await reasonOf(admin.get(`${services}/none`))).toBe('NotFound');
    const twice = serviceManifest('twice', 80);
    await admin.create(services, twice);
    expect(await reasonOf(admin.create(services, twice))).toBe('AlreadyExists');
  });
});

describe('server-side apply', () => {
  test('creates, changes, and removes what is not applied any more', async () => {
    const path = `${services}/applied`;
    const manifest = (annotations: Readonly<Record<string, string>>): unknown => ({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'applied', annotations },
      spec: { ports: [{ name: 'http', port: 80 }] },
    });
    await admin.apply(path, manifest({ one: '1', two: '2' }), { force: true });
    const after = await admin.apply(path, manifest({ two: '2' }), { force: true });
    expect(after).toMatchObject({ metadata: { annotations: { two: '2' } } });
    expect(JSON.stringify(after)).not.toContain('"one"');
  });

  test('is a conflict with another owner unless forced', async () => {
    const path = `${services}/owned`;
    const manifest = (value: string): unknown => ({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'owned', annotations: { owner: value } },
      spec: { ports: [{ name: 'http', port: 80 }] },
    });
    await admin.apply(path, manifest('them'), { owner: 'them' });
    expect(await reasonOf(admin.apply(path, manifest('us')))).toBe('Conflict');
    const forced = await admin.apply(path, manifest('us'), { force: true });
    expect(forced).toMatchObject({ metadata: { annotations: { owner: 'us' } } });
  });
});

describe('a Lease', () => {
  test('makes one of two replicas leader, and the other when it leaves', async () => {
    const events: string[] = [];
    let looks = 0;
    const counted: Connection = {
      ...admin,
      within: (timeoutMs) => {
        const inner = admin.within(timeoutMs);
        const get: Connection['get'] = async (path, query) => {
          const found = await inner.get(path, query);
          looks += 1;
          return found;
        };
        return { ...inner, get };
      },
    };
    const join = (identity: string, connection: Connection): Campaign =>
      campaign({
        connection,
        runtime: realRuntime,
        log: silentLog,
        namespace: 'default',
        name: 'election',
        identity,
        onLead: () => events.push(`${identity} leads`),
        onFollow: () => events.push(`${identity} follows`),
      });
    const one = join('one', admin);
    await until('one leads', () => one.isLeading());
    const two = join('two', counted);
    await until('two has looked', () => looks >= 2);
    expect([one.isLeading(), two.isLeading()]).toEqual([true, false]);
    await one.stop();
    await until('two leads', () => two.isLeading(), 8_000);
    expect(events).toEqual(['one leads', 'one follows', 'two leads']);
    await two.stop();
  });
});
