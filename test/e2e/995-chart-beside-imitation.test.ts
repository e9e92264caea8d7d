// The chart, by Helm, on a cluster where a namespace imitates mesh names before there is a mesh:
// it is said before the installation and after it, the cluster's DNS stays as it is, and with
// another mesh domain everything works beside it. Then out again by `weft uninstall`.
import { spawn } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { commandsOf } from '../support/guides.ts';
import { call, get, outcome } from './support/calls.ts';
import { meshNamespace, proxies, rolledOut } from './support/cluster.ts';
import { createImitation, imitator } from './support/imitation.ts';
import { ended, kubectl } from './support/kubectl.ts';
import { image } from './support/objects.ts';
import { callers } from './support/shop.ts';
import { openDesk } from './support/typed.ts';
import { until } from './support/until.ts';
import { weft } from './support/weft.ts';

const otherDomain = 'weft.internal';
const otherUrl = `http://api.shop.${otherDomain}/`;
let corefile: string;

function readCorefile(): Promise<string> {
  const text = ['-o', 'jsonpath={.data.Corefile}'];
  return kubectl(['-n', 'kube-system', 'get', 'configmap', 'coredns', ...text]);
}

async function helm(args: readonly string[]): Promise<string> {
  const reference = image();
  const cut = reference.lastIndexOf(':');
  const parts = [`repository=${reference.slice(0, cut)}`, `tag=${reference.slice(cut + 1)}`];
  const named = parts.flatMap((part) => ['--set', `image.${part}`]);
  const program = process.env['WEFT_E2E_HELM'] ?? 'helm';
  const child = spawn(program, ['-n', meshNamespace, ...args, ...named], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  child.stdin.end();
  const timeoutMs = 180_000;
  const { status, stdout, stderr } = await ended(child, `helm ${args.join(' ')}`, { timeoutMs });
  if (status !== 0) throw new Error(`helm ${args.join(' ')} ended with ${status}: ${stderr}`);
  return stdout;
}

async function allRolled(): Promise<void> {
  await rolledOut(meshNamespace, 'daemonset/weft-proxy');
  await rolledOut(meshNamespace, 'deployment/weft-controller');
}

describe('a namespace called as the mesh domain, before the installation', () => {
  test('is what weft check --pre fails on', async () => {
    await createImitation();
    corefile = await readCorefile();
    const { status, stdout } = await weft(['check', '--pre', '--no-probe']);
    expect(status).toBe(1);
    expect(stdout).toContain('a namespace is called mesh');
    expect(stdout).toContain('choose another --mesh-domain');
  });

  test('helm install: the Namespace is told, and the cluster’s DNS is left alone', async () => {
    const desk = openDesk();
    const [commands = ''] = commandsOf('install', 'by 995-chart-beside-imitation');
    const notes = desk.type(commands);
    desk.leave();
    expect(notes).toContain('No traffic has changed');
    await allRolled();
    const about = 'involvedObject.name=mesh,reason=MeshDomainTaken';
    await until('an Event says so', async () => {
      const told = await kubectl(['get', 'events', '-n', 'mesh', '--field-selector', about]);
      return told.includes('MeshDomainTaken') ? true : undefined;
    });
    expect(await readCorefile()).toBe(corefile);
  });

  test('helm upgrade to another mesh domain: its names work on every node', async () => {
    const chart = ['upgrade', 'weft', 'manifests/chart'];
    await helm([...chart, '--set', `mesh.domains={${otherDomain}}`]);
    await allRolled();
    await proxies(90_000);
    for (const from of await callers()) {
      await until(
        `${from.client} reaches ${otherUrl}`,
        async () => {
          const answers = await call(from, [{ url: otherUrl, times: 6 }]);
          expect(answers.some(({ body }) => body.includes(imitator))).toBe(false);
          return answers.every((answer) => outcome(answer) === '200') ? true : undefined;
        },
        90_000,
      );
    }
  });

  test('weft uninstall takes out what Helm has put in, the DNS lines too', async () => {
    const removed = await weft(['uninstall', '--yes', '--crds'], { timeoutMs: 120_000 });
    expect(removed.status).toBe(0);
    expect(await readCorefile()).toBe(corefile);
    const { status, stdout } = await weft(['check', '--removed']);
    expect(stdout).toContain(', 0 failed');
    expect(status).toBe(0);
    const [from] = await callers();
    if (from === undefined) throw new Error('the cluster has no node');
    expect(outcome(await get(from, 'http://api.shop/'))).toBe('200');
    await kubectl(['delete', 'namespace', 'mesh', '--wait=false']);
  });
});
