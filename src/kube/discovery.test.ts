// Which version is watched, and how little is asked while a kind is missing. The documents are
// those of the API server, with only the fields that are read.
import { describe, expect, test } from 'vitest';
import { FakeRuntime } from '../../test/kube/support/fake-runtime.ts';
import { KubeFailure, kubeReason } from './client.ts';
import { connectionOver } from './connection.ts';
import { Discovery } from './discovery.ts';
import { ByteStream } from '../../test/kube/support/byte-stream.ts';

/** Served version → plural names in it. */
type Served = Readonly<Record<string, readonly string[]>>;

function discovering(served: Served | undefined, status = 200) {
  const fake = new FakeRuntime();
  const asked: string[] = [];
  const world = { served, status };
  const answer = (target: string): { readonly status: number; readonly body: unknown } => {
    const version = target.split('/')[3];
    if (world.status !== 200) return { status: world.status, body: {} };
    if (world.served === undefined) return { status: 404, body: {} };
    if (version === undefined) {
      const versions = Object.keys(world.served).map((each) => ({ version: each }));
      return { status: 200, body: { versions } };
    }
    const resources = (world.served[version] ?? []).map((name) => ({ name }));
    return { status: 200, body: { resources } };
  };
  const connection = connectionOver(
    {
      server: 'https://memory',
      send: (request) => {
        asked.push(request.target);
        const { status: code, body } = answer(request.target);
        const stream = new ByteStream();
        stream.push(JSON.stringify(body));
        stream.end();
        return Promise.resolve({ status: code, retryAfterMs: undefined, body: stream });
      },
      close: () => Promise.resolve(),
    },
    fake.runtime,
  );
  return { fake, asked, world, discovery: new Discovery(connection, fake.runtime.clock) };
}

const tcp = { group: 'specs.smi-spec.io', plural: 'tcproutes', versions: ['v1alpha4', 'v1alpha1'] };
const udp = { group: 'specs.smi-spec.io', plural: 'udproutes', versions: ['v1alpha4'] };

describe('the served version', () => {
  test('is the one that we like best among those that have the kind', async () => {
    const both = discovering({ v1alpha1: ['tcproutes'], v1alpha4: ['tcproutes', 'udproutes'] });
    expect(await both.discovery.servedVersion(tcp)).toBe('v1alpha4');
    const old = discovering({ v1alpha1: ['tcproutes'], v1alpha4: ['udproutes'] });
    expect(await old.discovery.servedVersion(tcp)).toBe('v1alpha1');
  });

  test('is none while the group, the version or the kind is missing', async () => {
    expect(await discovering(undefined).discovery.servedVersion(tcp)).toBeUndefined();
    expect(await discovering({ v1: ['tcproutes'] }).discovery.servedVersion(tcp)).toBeUndefined();
    expect(await discovering({ v1alpha4: ['x'] }).discovery.servedVersion(tcp)).toBeUndefined();
  });

  test('is unknown, not none, when the server fails', async () => {
    const { discovery } = discovering(undefined, 500);
    const reason = await discovery.servedVersion(tcp).catch((error: unknown) => {
      expect(error).toBeInstanceOf(KubeFailure);
      return kubeReason(error);
    });
    expect(reason).toBe('ServerError');
  });

  test('is asked for once by all kinds of a group, and anew after a second', async () => {
    const { fake, asked, world, discovery } = discovering(undefined);
    await Promise.all([discovery.servedVersion(tcp), discovery.servedVersion(udp)]);
    expect(asked).toEqual(['/apis/specs.smi-spec.io']);
    world.served = { v1alpha4: ['tcproutes'] };
    fake.sleep(1_000);
    expect(await discovery.servedVersion(tcp)).toBe('v1alpha4');
    expect(asked).toHaveLength(3);
  });

  test('is asked for anew at once after a failure', async () => {
    const { world, discovery } = discovering({ v1alpha4: ['tcproutes'] }, 500);
    await discovery.servedVersion(tcp).catch(() => undefined);
    world.status = 200;
    expect(await discovery.servedVersion(tcp)).toBe('v1alpha4');
  });
});
