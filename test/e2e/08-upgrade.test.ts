// Another build takes over under load, and this one again: the build of the last commit whose
// programs differ. No request fails on either way; both builds serve side by side meanwhile, and
// are told apart by name all the time. All of it with strict mutual TLS, so that every call between
// nodes takes a tunnel, between the two builds too; 081-modes goes back.
import { describe, expect, test } from 'vitest';
import { failuresOf, startLoad } from './support/calls.ts';
import { meshNamespace, podsOf, proxies, proxySelector, rolledOut } from './support/cluster.ts';
import { kubectl, tryKubectl } from './support/kubectl.ts';
import { pause, unfailingWhile } from './support/load-everywhere.ts';
import { flagsFor, switchMesh } from './support/mtls.ts';
import { image } from './support/objects.ts';
import { apiUrl, callers } from './support/shop.ts';
import { otherBuild, weft, type Build } from './support/weft.ts';

const thisBuild: Build = { program: 'dist/weft.js', image: image() };

async function imageOfProxies(): Promise<string> {
  const path = 'jsonpath={.spec.template.spec.containers[0].image}';
  return kubectl(['-n', meshNamespace, 'get', 'daemonset', 'weft-proxy', '-o', path]);
}

/** What the program says of itself. */
async function nameOf(build: Build): Promise<string> {
  const { stdout } = await weft(['version', '-o', 'json'], { build });
  type Said = { readonly version: string; readonly build?: string };
  const { version, build: name } = JSON.parse(stdout) as Said;
  return name ?? version;
}

/** What proxies say; one that is about to end may say nothing. */
async function namesOfProxies(): Promise<readonly string[]> {
  const pods = await podsOf(meshNamespace, proxySelector);
  const said = await Promise.all(
    pods.map(async ({ metadata }) => {
      const pod = `/api/v1/namespaces/${meshNamespace}/pods/${metadata.name}:15020`;
      const { status, stdout } = await tryKubectl(['get', '--raw', `${pod}/proxy/version`]);
      return status === 0 ? [(JSON.parse(stdout) as { readonly build: string }).build] : [];
    }),
  );
  return [...new Set(said.flat())].sort();
}

async function upgradeUnderLoad(build: Build): Promise<void> {
  const loads = await Promise.all(
    (await callers()).map((from) => startLoad(from, { urls: [apiUrl], perSecond: 60 })),
  );
  const upgraded = await weft(['upgrade', '--yes', ...flagsFor('strict', build.image)], { build });
  expect(upgraded.stderr).not.toContain('BUG');
  expect(upgraded.status).toBe(0);
  let isOver = false;
  const seen = new Set<string>();
  const look = async (): Promise<void> => {
    while (!isOver) {
      seen.add((await namesOfProxies()).join(' and '));
      await pause(500);
    }
  };
  const looking = look();
  await rolledOut(meshNamespace, 'daemonset/weft-proxy');
  await rolledOut(meshNamespace, 'deployment/weft-controller');
  await proxies(120_000);
  isOver = true;
  await looking;
  const results = await Promise.all(loads.map((load) => load.stop()));
  console.log(results.map(({ sent, failed }) => `${failed} of ${sent} failed`).join(', '));
  console.log(`builds of proxies meanwhile: ${[...seen].join('; ')}`);
  expect(results.flatMap(failuresOf)).toEqual([]);
  expect(await imageOfProxies()).toBe(build.image);
  expect(await namesOfProxies()).toEqual([await nameOf(build)]);
  expect([...seen].filter((names) => names.includes(' and '))).not.toEqual([]);
}

describe('upgrade', () => {
  test('to strict mutual TLS, under load: no request fails', async () => {
    await unfailingWhile('to strict', () => switchMesh('strict'));
  });

  test('to what is installed already changes nothing, and says so', async () => {
    const { status, stdout } = await weft(['upgrade', '--dry-run', ...flagsFor('strict')]);
    expect(stdout).not.toMatch(/daemonset/i);
    expect(status).toBe(0);
  });

  test('the two builds are not the same', async () => {
    expect(await nameOf(otherBuild())).not.toBe(await nameOf(thisBuild));
  });

  test('to another build, under load: no request fails', async () => {
    await upgradeUnderLoad(otherBuild());
  });

  test('weft check of this build names the other, as a warning', async () => {
    const { status, stdout } = await weft(['check', '--no-probe']);
    const [theirs, ours] = [await nameOf(otherBuild()), await nameOf(thisBuild)];
    expect(stdout).toMatch(/^warning +versions/m);
    expect(stdout).toContain(`all proxies run ${theirs}, this program is ${ours}`);
    expect(status).toBe(0);
  });

  test('and back again, under load: no request fails', async () => {
    await upgradeUnderLoad(thisBuild);
  });

  test('weft check finds the mesh well afterwards', async () => {
    const args = ['check', '--image', image()];
    const { status, stdout, stderr } = await weft(args, { timeoutMs: 120_000 });
    expect(`${stdout}${stderr}`).toContain('DNS, proxy and pod answer on');
    expect(stdout).toContain(`all proxies run ${await nameOf(thisBuild)}`);
    expect(stdout).toMatch(/^ok +certificates/m);
    expect(stdout).toContain(', 0 failed');
    expect(status).toBe(0);
  });
});
