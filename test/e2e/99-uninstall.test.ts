// Out again: one command removes the mesh; nothing of it is left, the Corefile is byte for byte
// what it was, and so is everything else. The users' apps never noticed.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { commandsOf } from '../support/guides.ts';
import { failuresOf, get, outcome, startLoad } from './support/calls.ts';
import { tryKubectl, kubectl } from './support/kubectl.ts';
import { apiUrl, callers } from './support/shop.ts';
import { differences, snapshotOf, type Snapshot } from './support/unchanged.ts';
import { until } from './support/until.ts';
import { openDesk } from './support/typed.ts';
import { weft } from './support/weft.ts';

/** Made by cases in between. */
const extraNamespaces = 'chat depot desk kinds mesh talk tuned vault wrong yard'.split(' ');

function snapshotBefore(): Snapshot {
  const path = join(process.env['WEFT_E2E_STATE'] ?? 'build/e2e', 'before.json');
  // Written by 01-install.
  return new Map(JSON.parse(readFileSync(path, 'utf8')) as readonly (readonly [string, string])[]);
}

describe('uninstall', () => {
  test('lists first, and removes nothing when it is only asked to list', async () => {
    const listed = await weft(['uninstall', '--dry-run', '--crds']);
    expect(listed.status).toBe(0);
    expect(listed.stdout).toContain('weft-proxy');
    await kubectl(['-n', 'weft-system', 'get', 'daemonset', 'weft-proxy']);
  });

  test('removes the mesh while plain names go on being served', async () => {
    const [from] = await callers();
    if (from === undefined) throw new Error('the cluster has no node');
    const load = await startLoad(from, { urls: ['http://api.shop/'], perSecond: 50 });
    const desk = openDesk();
    const [commands = ''] = commandsOf('uninstall', 'by 99-uninstall');
    const said = desk.type(commands);
    desk.leave();
    expect(said).toContain('Namespace weft-system');
    expect(said).toContain('nothing of the mesh is left');
    expect(said).toContain('CRDs of SMI stay');
    const removed = await weft(['uninstall', '--yes', '--crds'], { timeoutMs: 120_000 });
    expect(removed.stderr + removed.stdout).not.toContain('BUG');
    expect(removed.status).toBe(0);
    const namespace = await tryKubectl(['get', 'namespace', 'weft-system']);
    expect(namespace.stderr).toContain('NotFound');
    expect(failuresOf(await load.stop())).toEqual([]);
  });

  test('mesh names are gone, plain ones are not', async () => {
    for (const from of await callers()) {
      await until(`${apiUrl} does not exist`, async () =>
        outcome(await get(from, apiUrl)) === 'ENOTFOUND' ? true : undefined,
      );
      expect(outcome(await get(from, 'http://api.shop/'))).toBe('200');
    }
  });

  test('weft check --removed says that nothing is left', async () => {
    const { status, stdout } = await weft(['check', '--removed']);
    expect(stdout).toContain(', 0 failed');
    expect(status).toBe(0);
  });

  test('everything else is byte for byte what it was, the Corefile too', async () => {
    const still = extraNamespaces.map((name) =>
      kubectl(['delete', 'namespace', name, '--ignore-not-found', '--timeout=60s']),
    );
    await Promise.all(still);
    const before = snapshotBefore();
    const after = await snapshotOf({ hasMesh: false });
    const kept = (one: Snapshot) => new Map([...one].filter(([name]) => !isRestarted(name)));
    expect(differences(kept(before), kept(after))).toEqual([]);
  });
});

/** Pods and what counts them: cases in between rolled apps out, and CoreDNS may have been. */
function isRestarted(name: string): boolean {
  return /^(Pod|ReplicaSet|ControllerRevision|EndpointSlice|Deployment|Node)\//.test(name);
}
