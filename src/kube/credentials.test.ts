// Credentials from files: where they are looked for, and when they are read again.
// Real files in a temporary directory, a clock that the test moves.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FakeRuntime } from '../../test/kube/support/fake-runtime.ts';
import { kubeReason } from './client.ts';
import { credentialSource, findSource } from './credentials.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'weft-credentials-'));
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

function reasonOf(action: () => unknown): string | undefined {
  try {
    action();
  } catch (error) {
    return kubeReason(error);
  }
  return undefined;
}

async function inCluster() {
  await writeFile(join(directory, 'token'), 'first\n');
  await writeFile(join(directory, 'ca.crt'), 'CA');
  const fake = new FakeRuntime();
  const source = credentialSource(
    { kind: 'in-cluster', host: 'fd00::1', port: '443', accountDirectory: directory },
    fake.runtime.clock,
  );
  return { fake, source };
}

describe('the source', () => {
  const inPod = { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' };
  const none = { kubeconfig: undefined, context: undefined };

  test('is the flag, then the cluster that we run in', () => {
    const flags = { kubeconfig: 'file', context: 'x' };
    expect(findSource(flags, inPod)).toEqual({ kind: 'kubeconfig', file: 'file', context: 'x' });
    expect(findSource(none, inPod)).toMatchObject({ kind: 'in-cluster', host: '10.96.0.1' });
  });

  test('that is nowhere is a failure that says what to do', () => {
    expect(reasonOf(() => findSource(none, {}))).toBe('NoConfiguration');
    expect(() => findSource(none, {})).toThrow('--kubeconfig');
  });
});

describe('credentials in a cluster', () => {
  test('are the mounted token and CA, with brackets around an IPv6 address', async () => {
    const { source } = await inCluster();
    expect(await source.current()).toMatchObject({
      server: 'https://[fd00::1]',
      token: 'first',
      tls: { ca: 'CA', rejectUnauthorized: true },
    });
  });

  test('are read again after a minute', async () => {
    const { fake, source } = await inCluster();
    const first = await source.current();
    await writeFile(join(directory, 'token'), 'second');
    fake.sleep(59_000);
    expect(await source.current()).toBe(first);
    fake.sleep(2_000);
    expect((await source.current()).token).toBe('second');
  });

  test('are read again soon after the server refused them, but not for each refusal', async () => {
    const { fake, source } = await inCluster();
    await source.current();
    await writeFile(join(directory, 'token'), 'second');
    source.distrust();
    expect((await source.current()).token).toBe('first');
    fake.sleep(5_000);
    expect((await source.current()).token).toBe('second');
  });

  test('stay in force when they cannot be read again', async () => {
    const { fake, source } = await inCluster();
    await source.current();
    await rm(join(directory, 'token'));
    fake.sleep(61_000);
    expect((await source.current()).token).toBe('first');
  });

  test('that were never there are a failure that names the file', async () => {
    const source = credentialSource(
      { kind: 'in-cluster', host: 'h', port: '1', accountDirectory: join(directory, 'none') },
      new FakeRuntime().runtime.clock,
    );
    await expect(source.current()).rejects.toThrow(join(directory, 'none'));
  });
});

describe('credentials of a kubeconfig', () => {
  test('open files beside it', async () => {
    await writeFile(join(directory, 'token'), 'from the file');
    const user = '{name: u, user: {tokenFile: token}}';
    const file = join(directory, 'config');
    await writeFile(
      file,
      `current-context: x
contexts: [{name: x, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "https://host:6443/prefix/"}}]
users: [${user}]`,
    );
    const source = credentialSource(
      { kind: 'kubeconfig', file, context: undefined },
      new FakeRuntime().runtime.clock,
    );
    expect(await source.current()).toMatchObject({
      server: 'https://host:6443',
      basePath: '/prefix',
      token: 'from the file',
    });
  });
});
