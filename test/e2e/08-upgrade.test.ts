// Another build takes over under load, and this one again: the build of the last commit before
// this one. Where that commit changed no program the two images are the same bytes. No request
// fails on either way; both builds serve side by side meanwhile.
import { describe, expect, test } from 'vitest';
import { failuresOf, startLoad } from './support/calls.ts';
import { meshNamespace, proxies, rolledOut } from './support/cluster.ts';
import { kubectl } from './support/kubectl.ts';
import { image } from './support/objects.ts';
import { apiUrl, callers } from './support/shop.ts';
import { installFlags, otherBuild, weft, type Build } from './support/weft.ts';

const thisBuild: Build = { program: 'dist/weft.js', image: image() };

async function imageOfProxies(): Promise<string> {
  const path = 'jsonpath={.spec.template.spec.containers[0].image}';
  return kubectl(['-n', meshNamespace, 'get', 'daemonset', 'weft-proxy', '-o', path]);
}

async function upgradeUnderLoad(build: Build): Promise<void> {
  const loads = await Promise.all(
    (await callers()).map((from) => startLoad(from, { urls: [apiUrl], perSecond: 60 })),
  );
  const upgraded = await weft(['upgrade', '--yes', ...installFlags(build.image)], { build });
  expect(upgraded.stderr).not.toContain('BUG');
  expect(upgraded.status).toBe(0);
  await rolledOut(meshNamespace, 'daemonset/weft-proxy');
  await rolledOut(meshNamespace, 'deployment/weft-controller');
  await proxies(120_000);
  const results = await Promise.all(loads.map((load) => load.stop()));
  console.log(results.map(({ sent, failed }) => `${failed} of ${sent} failed`).join(', '));
  expect(results.flatMap(failuresOf)).toEqual([]);
  expect(await imageOfProxies()).toBe(build.image);
}

describe('upgrade', () => {
  test('to what is installed already changes nothing, and says so', async () => {
    const { status, stdout } = await weft(['upgrade', '--dry-run', ...installFlags(image())]);
    expect(stdout).not.toMatch(/daemonset/i);
    expect(status).toBe(0);
  });

  test('to another build, under load: no request fails', async () => {
    await upgradeUnderLoad(otherBuild());
  });

  test('and back again, under load: no request fails', async () => {
    await upgradeUnderLoad(thisBuild);
  });

  test('weft check finds the mesh well afterwards', async () => {
    const args = ['check', '--image', image()];
    const { status, stdout, stderr } = await weft(args, { timeoutMs: 120_000 });
    expect(`${stdout}${stderr}`).toContain('DNS, proxy and pod answer on');
    expect(stdout).toContain(', 0 failed');
    expect(status).toBe(0);
  });
});
