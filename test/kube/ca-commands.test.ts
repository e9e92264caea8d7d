// `weft ca` and `weft identity` on a real API server: an operator's authority before the first
// start and after it, what is refused and why, and what people and machines read.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCli } from '../../src/cli/index.ts';
import type { Connection } from '../../src/kube/index.ts';
import { FakeTrust } from './support/fake-trust.ts';
import {
  home,
  IdentityCluster,
  names,
  type RunningController,
} from './support/identity-cluster.ts';
import { realRuntime } from './support/runtime.ts';
import { until } from './support/until.ts';

const scratch = mkdtempSync(join(tmpdir(), 'weft-ca-'));
const file = (name: string): string => join(scratch, name);
let cluster: IdentityCluster;
let proxy: Connection;
let controller: RunningController;
let fake: FakeTrust;

function openssl(...args: readonly string[]): string {
  const ran = spawnSync('openssl', args, { encoding: 'utf8', timeout: 30_000, cwd: scratch });
  if (ran.status !== 0) throw new Error(`openssl ${args.join(' ')}: ${ran.stderr}`);
  return ran.stdout;
}

/** `<name>.pem`: an intermediate and its root; `<name>.key`: the intermediate's key. */
function makeAuthority(name: string): void {
  const curve = ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'];
  for (const who of ['root', 'signer']) {
    openssl('genpkey', ...curve, '-out', file(`${name}-${who}.key`));
  }
  const extensions = (length: number): string =>
    `basicConstraints=critical,CA:true,pathlen:${length}\nkeyUsage=critical,keyCertSign,cRLSign\n` +
    'subjectKeyIdentifier=hash\n';
  writeFileSync(file('dn.cnf'), `[req]\ndistinguished_name=dn\n[dn]\n[v3]\n${extensions(1)}`);
  writeFileSync(file('signer.ext'), `${extensions(0)}authorityKeyIdentifier=keyid\n`);
  openssl('req', '-new', '-x509', '-key', file(`${name}-root.key`), '-subj', `/CN=${name} root`,
    '-days', '3650', '-config', file('dn.cnf'), '-extensions', 'v3', '-out', file('root.pem'));
  openssl('req', '-new', '-key', file(`${name}-signer.key`), '-subj', `/CN=${name} signer`,
    '-config', file('dn.cnf'), '-out', file('signer.csr'));
  openssl('x509', '-req', '-in', file('signer.csr'), '-CA', file('root.pem'), '-CAkey',
    file(`${name}-root.key`), '-set_serial', '77', '-days', '90', '-extfile', file('signer.ext'),
    '-out', file('signer.pem'));
  const both = ['signer.pem', 'root.pem'].map((one) => readFileSync(file(one), 'utf8'));
  writeFileSync(file(`${name}.pem`), both.join(''));
  writeFileSync(file(`${name}-root.pem`), both[1] ?? '');
}

async function weft(...args: readonly string[]) {
  let out = '';
  let error = '';
  const exitCode = await runCli([...args, '--kubeconfig', cluster.plane.kubeconfigPath], {
    version: 'test',
    build: 'test',
    environment: {},
    writeOut: (text) => {
      out += text;
    },
    writeError: (text) => {
      error += text;
    },
    runtime: realRuntime,
    ask: () => Promise.resolve(undefined),
    run: { proxy: () => Promise.resolve(0), controller: () => Promise.resolve(0) },
  });
  return { exitCode, out, error };
}

const use = (name: string, domain = 'cluster.local', key = `${name}-signer.key`) =>
  weft('ca', 'use', '--cert', file(`${name}.pem`), '--key', file(key), '--trust-domain', domain);

beforeAll(async () => {
  cluster = await IdentityCluster.start();
  await cluster.node('node-a');
  await cluster.account('shop', 'web');
  const web = { namespace: 'shop', name: 'web', node: 'node-a', account: 'web' };
  await cluster.pod({ ...web, address: '10.1.0.1' });
  proxy = await cluster.proxy('node-a', 'asker');
  for (const name of ['first', 'second']) makeAuthority(name);
}, 120_000);

afterAll(async () => {
  await controller.stop();
  await fake.stop();
  await cluster.stop();
  rmSync(scratch, { recursive: true });
});

describe('before the first start', () => {
  test('there is nothing to rotate', async () => {
    const { exitCode, out } = await weft('ca', 'rotate');
    expect(exitCode).toBe(1);
    expect(out).toContain('refused: there is no Secret weft-ca in namespace weft-system');
  });

  test('what may not sign is refused, with all that is wrong', async () => {
    const { exitCode, out } = await use('first', 'cluster.local', 'second-signer.key');
    expect(exitCode).toBe(1);
    expect(out).toContain('refused: the key is not that of certificate 1');
  });

  test.each([
    [['--trust-domain', 'Cluster.Local'], 'write lower case'],
    [['--cert', '/nowhere/at/all', '--trust-domain', 'cluster.local'], 'cannot read /nowhere'],
    [[], '--trust-domain'],
  ])('a mistake in %j is one line', async (args, says) => {
    const files = ['--key', file('first-signer.key'), '--cert', file('first.pem')];
    const { exitCode, out, error } = await weft('ca', 'use', ...files, ...args);
    expect([exitCode, out]).toEqual([2, '']);
    expect(error).toContain(says);
    expect(error.trimEnd().split('\n')).toHaveLength(1);
    expect(error).toMatch(/^weft ca use: /);
  });

  test('an authority of the operator is the first one', async () => {
    const { exitCode, out } = await use('first');
    const made = 'made: the controller signs with it from its first start\n';
    expect([exitCode, out]).toEqual([0, made]);
    expect((await use('first')).exitCode).toBe(0);
  });
});

describe('with an authority of the operator', () => {
  test('its root is trusted, and certificates carry its chain', async () => {
    // What the second `ca use` has asked for is not this test's matter.
    const metadata = { annotations: { 'weft.dev/rotate': null } };
    const path = `/api/v1/namespaces/${home}/secrets/weft-ca`;
    const data = { 'next.crt': null, 'next.key': null };
    await cluster.admin.patch(path, { kind: 'merge', body: { metadata, data } });
    controller = await cluster.controller();
    expect(await cluster.trust()).toBe(readFileSync(file('first-root.pem'), 'utf8'));
    const answer = await cluster.ask(proxy, { sans: names('shop/web', 'node-a') });
    expect(answer.state).toBe('issued');
    writeFileSync(file('leaf.pem'), answer.state === 'issued' ? answer.pem : '');
    const trusted = ['-x509_strict', '-CAfile', file('first-root.pem')];
    const leaf = file('leaf.pem');
    const verified = openssl('verify', ...trusted, '-untrusted', leaf, leaf);
    expect(verified).toContain('OK');
  });

  test('another trust domain is refused', async () => {
    const { exitCode, out } = await use('second', 'other.example');
    expect(exitCode).toBe(1);
    expect(out).toContain('the mesh is of trust domain cluster.local, not other.example');
  });

  test('another authority begins a rotation, and a second wish waits', async () => {
    fake = new FakeTrust(cluster, '127.67.0.1');
    await fake.start('node-a');
    const asked = await use('second');
    expect([asked.exitCode, asked.out.startsWith('asked: ')]).toEqual([0, true]);
    const second = readFileSync(file('second-root.pem'), 'utf8');
    await until('both roots are trusted', async () => (await cluster.trust()).includes(second));
    const again = await weft('ca', 'rotate', '-o', 'json');
    expect(again.exitCode).toBe(1);
    expect(JSON.parse(again.out)).toEqual({
      kind: 'refused',
      reasons: ['a rotation is in phase adding; weft identity shows who is waited for'],
    });
  });

  test('weft identity names roots and phase, and the node that does not answer', async () => {
    const { exitCode, out } = await weft('identity');
    expect(exitCode).toBe(1);
    expect(out).toContain('trust domain cluster.local, phase adding');
    expect(out).toMatch(/^[0-9a-f]{16} {2}\S+ {2}signs$/m);
    expect(out).toMatch(/^node-a +no answer$/m);
    const { out: json } = await weft('identity', '-o', 'json');
    expect(JSON.parse(json)).toMatchObject({ phase: 'adding', roots: [{ isSigning: true }, {}] });
  });

  test('no command prints a key', async () => {
    const key = readFileSync(file('first-signer.key'), 'utf8').split('\n')[1] ?? '';
    const { out } = await weft('identity', '-o', 'yaml');
    expect(out).not.toContain(key);
    expect(JSON.stringify(controller.lines)).not.toContain(key);
  });
});
