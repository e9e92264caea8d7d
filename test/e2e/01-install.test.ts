// Users have a shop and callers; weft is installed beside them with one command; a caller uses a
// mesh name. Then everything that is not ours is compared with what it was, byte by byte.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { call, get, outcome } from './support/calls.ts';
import { meshNamespace, nodeNames, proxies, rolledOut } from './support/cluster.ts';
import { kubectl } from './support/kubectl.ts';
import { image } from './support/objects.ts';
import { apiUrl, callerOn, callers, createShop } from './support/shop.ts';
import { differences, snapshotOf, type Snapshot } from './support/unchanged.ts';
import { until } from './support/until.ts';
import { install, weft } from './support/weft.ts';

const users = { namespaces: ['shop', 'web', 'default'], hasMesh: true };
let before: Snapshot;

describe('installation', () => {
  test('users have their apps, and no mesh name exists', async () => {
    await createShop();
    const [first] = await callers();
    if (first === undefined) throw new Error('the cluster has no node');
    // kube-proxy may be a moment behind the pods.
    await until('the plain name is served', async () =>
      outcome(await get(first, 'http://api.shop/')) === '200' ? true : undefined,
    );
    expect(outcome(await get(first, apiUrl))).toBe('ENOTFOUND');
    // For the end: everything in the cluster, to compare with after `uninstall`.
    const all = await snapshotOf({ hasMesh: false });
    expect(all.size).toBeGreaterThan(50);
    const folder = process.env['WEFT_E2E_STATE'] ?? 'build/e2e';
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'before.json'), JSON.stringify([...all]));
    before = await snapshotOf(users);
  });

  test('weft check --pre finds nothing that is in the way, measured on every node', async () => {
    const args = ['check', '--pre', '--image', image()];
    const { status, stdout, stderr } = await weft(args, { timeoutMs: 120_000 });
    const count = (await nodeNames()).length;
    expect(`${stdout}${stderr}`).toContain(`pods keep their address on ${count} nodes (measured)`);
    expect(stdout).toContain(', 0 failed');
    expect(status).toBe(0);
  });

  test('one command installs, and every node gets a ready proxy', async () => {
    const applied = await install();
    expect(applied).toContain('daemonset.apps/weft-proxy created');
    expect(applied).not.toContain('Warning');
    await rolledOut(meshNamespace, 'daemonset/weft-proxy');
    await rolledOut(meshNamespace, 'deployment/weft-controller');
    expect((await proxies()).size).toBe((await nodeNames()).length);
  });

  test('an app calls a mesh name from every node', async () => {
    // Each replica of CoreDNS takes a changed Corefile in its own time, within 45 s: a name is
    // there when it is there every time.
    for (const from of await callers()) {
      await until(
        `${from.client} reaches ${apiUrl}`,
        async () => {
          const answers = await call(from, [{ url: apiUrl, times: 12 }]);
          return answers.every((answer) => outcome(answer) === '200') ? true : undefined;
        },
        90_000,
      );
    }
  });

  test('names and Services of users go on as before, unknown mesh names do not exist', async () => {
    for (const from of await callers()) {
      const answers = await call(from, [
        { url: 'http://api.shop/' },
        { url: 'http://api.shop.svc.cluster.local/' },
        { url: apiUrl, times: 5 },
        { url: 'http://api.shop.mesh:80/' },
        { url: 'http://API.Shop.Mesh./' },
        { url: 'http://nobody.shop.mesh/' },
        { url: 'http://coredns.kube-system.mesh/' },
      ]);
      expect(answers.map(outcome)).toEqual([
        ...Array.from({ length: 9 }, () => '200'),
        'ENOTFOUND',
        'ENOTFOUND',
      ]);
    }
  });

  test('the app sees the name that was called, the mesh in Via and who called', async () => {
    const [node = ''] = await nodeNames();
    const { body } = await get(callerOn(node), apiUrl);
    type Seen = { readonly headers: Readonly<Record<string, string>> };
    // Written by programs/app.ts.
    const { headers } = JSON.parse(body) as Seen;
    const pod = ['-n', 'web', 'get', 'pod', '-l', `app=${callerOn(node).client}`];
    const address = await kubectl([...pod, '-o', 'jsonpath={.items[0].status.podIP}']);
    expect(headers['host']).toBe('api.shop.mesh');
    expect(headers['via']).toBe('1.1 weft');
    expect(headers['x-forwarded-for']).toBe(address);
  });

  test('no pod of the mesh has more than restricted Pod Security allows', async () => {
    const namespace = ['label', '--dry-run=server', '--overwrite', 'namespace', meshNamespace];
    const told = await kubectl([...namespace, 'pod-security.kubernetes.io/enforce=restricted']);
    expect(told).not.toContain('violate');
  });

  test('weft check finds every node well: DNS, proxy and pod', async () => {
    const { status, stdout, stderr } = await weft(['check'], { timeoutMs: 120_000 });
    const count = (await nodeNames()).length;
    expect(`${stdout}${stderr}`).toContain(`DNS, proxy and pod answer on ${count} nodes`);
    expect(stdout).toContain(`a proxy serves on each of ${count} nodes`);
    expect(stdout).toContain(', 0 failed');
    expect(status).toBe(0);
  });

  test('every object of the users is byte for byte what it was', async () => {
    expect(differences(before, await snapshotOf(users))).toEqual([]);
  });
});
