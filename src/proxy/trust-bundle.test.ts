// The bundle that is in force: the last good one, whatever somebody does to the ConfigMap. The API
// server is a stream in memory.
import { expect, test } from 'vitest';
import { ByteStream } from '../../test/kube/support/byte-stream.ts';
import { FakeRuntime, settle } from '../../test/kube/support/fake-runtime.ts';
import { TestAuthority } from '../../test/support/test-authority.ts';
import type { TrustBundle } from '../identity/index.ts';
import { connectionOver, type Transport } from '../kube/index.ts';
import { silentLog } from '../telemetry/index.ts';
import { watchTrustBundle } from './trust-bundle.ts';

/** One ConfigMap, or none, by watch; and what was asked for. */
class BundleServer {
  readonly targets: string[] = [];
  readonly #stream = new ByteStream();
  #version = 10;
  readonly transport: Transport = {
    server: 'https://memory',
    send: ({ target }) => {
      this.targets.push(target);
      return Promise.resolve({ status: 200, retryAfterMs: undefined, body: this.#stream });
    },
    close: () => Promise.resolve(),
  };

  say(type: 'ADDED' | 'MODIFIED' | 'DELETED', text?: string): void {
    this.#version += 1;
    const metadata = { namespace: 'weft-system', name: 'weft-trust', uid: 'u' };
    const resourceVersion = String(this.#version);
    const data = text === undefined ? {} : { data: { 'ca.crt': text } };
    const object = { metadata: { ...metadata, resourceVersion }, ...data };
    this.#stream.push(`${JSON.stringify({ type, object })}\n`);
  }

  endList(): void {
    const annotations = { 'k8s.io/initial-events-end': 'true' };
    const object = { metadata: { resourceVersion: String(this.#version), annotations } };
    this.#stream.push(`${JSON.stringify({ type: 'BOOKMARK', object })}\n`);
  }
}

test('the last good bundle stays in force', async () => {
  const fake = new FakeRuntime();
  const server = new BundleServer();
  const bundles: TrustBundle[] = [];
  watchTrustBundle({
    connection: connectionOver(server.transport, fake.runtime),
    runtime: fake.runtime,
    log: silentLog,
    meshNamespace: 'weft-system',
    onBundle: (bundle) => bundles.push(bundle),
  });
  const [one, two] = [new TestAuthority(0), new TestAuthority(0)];
  server.say('ADDED', one.rootPem);
  server.endList();
  await settle();
  expect(bundles.map(({ roots }) => roots.map(({ pem }) => pem))).toEqual([[one.rootPem]]);
  expect(server.targets[0]).toMatch(/^\/api\/v1\/namespaces\/weft-system\/configmaps\?/);
  expect(server.targets[0]).toContain('fieldSelector=metadata.name%3Dweft-trust');
  server.say('MODIFIED', one.rootPem);
  server.say('MODIFIED', 'nonsense');
  server.say('MODIFIED', '');
  server.say('MODIFIED');
  server.say('DELETED', one.rootPem);
  await settle();
  expect(bundles).toHaveLength(1);
  server.say('ADDED', two.rootPem + one.rootPem);
  await settle();
  expect(bundles[1]?.roots.map(({ pem }) => pem)).toEqual([two.rootPem, one.rootPem]);
});
