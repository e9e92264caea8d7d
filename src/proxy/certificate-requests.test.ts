// Asking for certificates: what a request looks like, how its answer is found, and that every
// question ends, whatever the API server does.
import { describe, expect, test } from 'vitest';
import { FakeRuntime, settle } from '../../test/kube/support/fake-runtime.ts';
import { RequestServer } from '../../test/kube/support/request-server.ts';
import { testKeys } from '../../test/support/test-authority.ts';
import type { SpiffeId } from '../identity/index.ts';
import { connectionOver } from '../kube/index.ts';
import { silentLog } from '../telemetry/index.ts';
import {
  startCertificateRequests,
  type CertificateRequests,
  type RequestOutcome,
} from './certificate-requests.ts';

const id = 'spiffe://cluster.local/ns/shop/sa/web' as SpiffeId;
const podUid = '0123456789abcdef-uid';

class Asker {
  readonly server: RequestServer;
  readonly fake = new FakeRuntime();
  readonly requests: CertificateRequests;
  /** Identities that are said to be worth another question. */
  readonly told: SpiffeId[] = [];

  constructor(server = new RequestServer()) {
    this.server = server;
    server.podUid = podUid;
    const { runtime } = this.fake;
    this.requests = startCertificateRequests({
      connection: connectionOver(this.server.transport, runtime),
      runtime,
      log: silentLog,
      keys: testKeys,
      nodeName: 'node-1',
      podUid,
      onAnswered: (answered) => this.told.push(answered),
    });
  }

  /** The outcome, as far as there is one. */
  ask(whom = id): { outcome: RequestOutcome | undefined } {
    const asked: { outcome: RequestOutcome | undefined } = { outcome: undefined };
    void this.requests.ask(whom).then((outcome) => {
      asked.outcome = outcome;
    });
    return asked;
  }

  async settle(): Promise<void> {
    for (let turn = 0; turn < 10; turn += 1) await settle();
  }

  issue(index: number, pem = `certificate ${index}`): void {
    const name = this.server.created[index]?.metadata.name ?? '';
    this.server.answer(name, { certificate: Buffer.from(pem).toString('base64') });
  }
}

describe('a request', () => {
  test('says what note 0008 says, and its answer is found by the watch', async () => {
    const asker = new Asker();
    const asked = asker.ask();
    await asker.settle();
    const [created] = asker.server.created;
    expect(created?.metadata.name).toMatch(/^weft-01234567-[0-9a-f]{16}$/);
    expect(created?.metadata.labels).toEqual({
      'app.kubernetes.io/name': 'weft',
      'app.kubernetes.io/component': 'identity',
      'weft.dev/proxy-pod': podUid,
    });
    expect(created?.spec).toMatchObject({
      signerName: 'weft.dev/workload',
      usages: ['digital signature', 'client auth', 'server auth'],
      expirationSeconds: 86_400,
    });
    const pem = Buffer.from(String(created?.spec['request']), 'base64').toString();
    expect(pem).toMatch(/^-----BEGIN CERTIFICATE REQUEST-----\n/);
    expect(asked.outcome).toBeUndefined();
    asker.issue(0);
    await asker.settle();
    expect(asked.outcome).toMatchObject({ kind: 'issued', pem: 'certificate 0' });
    await asker.requests.stop();
  });

  test.each(['Denied', 'Failed'])('that is %s fails with the reason', async (type) => {
    const asker = new Asker();
    const asked = asker.ask();
    await asker.settle();
    const name = asker.server.created[0]?.metadata.name ?? '';
    asker.server.answer(name, { conditions: [{ type, reason: 'PodMissing' }] });
    await asker.settle();
    expect(asked.outcome).toMatchObject({ kind: 'failed', reason: 'PodMissing' });
  });

  test('that is approved and has no certificate yet is waited for, ten seconds', async () => {
    const asker = new Asker();
    const asked = asker.ask();
    await asker.settle();
    const name = asker.server.created[0]?.metadata.name ?? '';
    asker.server.answer(name, { conditions: [{ type: 'Approved', reason: 'PodOnNode' }] });
    await asker.fake.advance(9_999);
    expect(asked.outcome).toBeUndefined();
    await asker.fake.advance(1);
    expect(asked.outcome).toMatchObject({ kind: 'failed', reason: 'NoAnswer' });
  });

  test('whose create was lost is found again and not made twice', async () => {
    const asker = new Asker();
    asker.server.fates.push('lost');
    const asked = asker.ask();
    await asker.settle();
    expect(asker.server.created).toHaveLength(1);
    asker.issue(0);
    await asker.settle();
    expect(asked.outcome).toMatchObject({ kind: 'issued' });
  });

  test('whose name is somebody else’s is no request of ours', async () => {
    const asker = new Asker();
    asker.server.fates.push('taken');
    const asked = asker.ask();
    await asker.settle();
    expect(asked.outcome).toMatchObject({ kind: 'failed', reason: 'AlreadyExists' });
  });

  test('that may not be made fails at once; one without an answer at its deadlines', async () => {
    const asker = new Asker();
    asker.server.fates.push('forbidden', 'hangs', 'hangs');
    const forbidden = asker.ask();
    await asker.settle();
    expect(forbidden.outcome).toMatchObject({ kind: 'failed', reason: 'Forbidden' });
    const hanging = asker.ask();
    await asker.settle();
    await asker.fake.advance(20_001);
    expect(hanging.outcome).toMatchObject({ kind: 'failed', reason: 'Timeout' });
  });

  test('ends when the asker stops', async () => {
    const asker = new Asker();
    const asked = asker.ask();
    await asker.settle();
    await asker.requests.stop();
    await asker.settle();
    expect(asked.outcome).toMatchObject({ kind: 'failed', reason: 'NoAnswer' });
  });
});

describe('while nobody answers', () => {
  const unanswered = (asker: Asker): number => asker.server.objects.size;

  test('one request of an identity stands, however often it is asked for', async () => {
    const asker = new Asker();
    for (let hour = 0; hour < 12; hour += 1) {
      asker.ask();
      await asker.fake.advance(3_600_000);
    }
    expect(unanswered(asker)).toBe(1);
    const asked = asker.ask();
    asker.issue(0);
    await asker.settle();
    expect(asked.outcome).toMatchObject({ kind: 'issued', pem: 'certificate 0' });
    asker.ask();
    await asker.settle();
    expect(unanswered(asker)).toBe(2);
    await asker.requests.stop();
  });

  test('two who ask at once share one request', async () => {
    const asker = new Asker();
    const both = [asker.ask(), asker.ask()];
    await asker.settle();
    expect(unanswered(asker)).toBe(1);
    asker.issue(0);
    await asker.settle();
    expect(both.map(({ outcome }) => outcome?.kind)).toEqual(['issued', 'issued']);
  });

  test('an answer that comes between two questions is told, and kept for the next', async () => {
    const asker = new Asker();
    asker.ask();
    await asker.fake.advance(10_000);
    asker.issue(0);
    await asker.settle();
    expect(asker.told).toEqual([id]);
    const asked = asker.ask();
    await asker.settle();
    expect(asked.outcome).toMatchObject({ kind: 'issued', pem: 'certificate 0' });
    expect(unanswered(asker)).toBe(1);
  });

  test('a request that is removed is made anew, one that is refused too', async () => {
    const asker = new Asker();
    const first = asker.ask();
    await asker.settle();
    asker.server.remove(asker.server.created[0]?.metadata.name ?? '');
    await asker.settle();
    expect(first.outcome).toMatchObject({ kind: 'failed', reason: 'RequestRemoved' });
    asker.ask();
    await asker.fake.advance(10_000);
    // While nobody waits: the next question makes another.
    asker.server.remove(asker.server.created[1]?.metadata.name ?? '');
    await asker.settle();
    const third = asker.ask();
    await asker.settle();
    const name = asker.server.created[2]?.metadata.name ?? '';
    asker.server.answer(name, { conditions: [{ type: 'Denied', reason: 'PodMissing' }] });
    await asker.settle();
    expect(third.outcome).toMatchObject({ kind: 'failed', reason: 'PodMissing' });
    asker.ask();
    await asker.settle();
    expect(asker.server.created).toHaveLength(4);
  });

  test('a create without an answer is repeated as it was by the next question', async () => {
    const asker = new Asker();
    asker.server.fates.push('hangs', 'hangs');
    const first = asker.ask();
    await asker.fake.advance(20_001);
    expect(first.outcome).toMatchObject({ kind: 'failed', reason: 'Timeout' });
    asker.server.fates.push('lost');
    asker.ask();
    await asker.settle();
    expect(unanswered(asker)).toBe(1);
  });

  test('containers of one pod that start again and again leave three at most', async () => {
    const server = new RequestServer();
    let asker = new Asker(server);
    for (let start = 0; start < 20; start += 1) {
      const asked = asker.ask();
      await asker.fake.advance(10_000);
      if (start >= 3) expect(asked.outcome).toMatchObject({ reason: 'RequestsOutstanding' });
      await asker.requests.stop();
      asker = new Asker(server);
    }
    expect(server.objects.size).toBe(3);
    asker.ask();
    await asker.settle();
    asker.issue(0);
    await asker.settle();
    expect(asker.told).toEqual([id]);
    const asked = asker.ask();
    await asker.settle();
    asker.issue(3);
    await asker.settle();
    expect(asked.outcome).toMatchObject({ kind: 'issued', pem: 'certificate 3' });
  });

  test('requests that others made under our label do not count', async () => {
    const server = new RequestServer();
    for (let start = 0; start < 5; start += 1) {
      const other = new Asker(server);
      server.podUid = 'somebody else';
      other.ask();
      await other.settle();
      await other.requests.stop();
    }
    const asker = new Asker(server);
    const asked = asker.ask();
    await asker.settle();
    asker.issue(5);
    await asker.settle();
    expect(asked.outcome).toMatchObject({ kind: 'issued' });
  });
});

test('at most twenty creates are on their way, and all get their turn', async () => {
  const asker = new Asker();
  let release = (): void => undefined;
  asker.server.hold = new Promise((resolve) => {
    release = resolve;
  });
  const asked = Array.from({ length: 50 }, (_, index) => {
    return asker.ask(`${id}-${index}` as SpiffeId);
  });
  await asker.settle();
  expect(asker.server.inFlightMax).toBe(20);
  release();
  await asker.settle();
  await asker.settle();
  expect(asker.server.created).toHaveLength(50);
  expect(asker.server.inFlightMax).toBe(20);
  for (let index = 0; index < 50; index += 1) asker.issue(index);
  await asker.settle();
  const kinds = new Set(asked.map(({ outcome }) => outcome?.kind));
  expect([...kinds]).toEqual(['issued']);
});
