// Leader election against a Lease in memory: at most one leads, whatever hangs, fails or sleeps.
// The same campaign runs against a real API server in test/kube/connection.test.ts.
import { describe, expect, test } from 'vitest';
import { FakeRuntime } from '../../test/kube/support/fake-runtime.ts';
import { LeaseServer } from '../../test/kube/support/lease-server.ts';
import { silentLog } from '../telemetry/index.ts';
import { connectionOver } from './connection.ts';
import type { Campaign } from './lease.ts';
import { campaign } from './lease.ts';

type Replica = { readonly campaign: Campaign; readonly events: string[] };

function join(server: LeaseServer, fake: FakeRuntime, identity: string): Replica {
  const events: string[] = [];
  return {
    events,
    campaign: campaign({
      connection: connectionOver(server.transportOf(identity), fake.runtime),
      runtime: fake.runtime,
      log: silentLog,
      namespace: 'weft-system',
      name: 'weft-controller',
      identity,
      onLead: () => events.push(`lead ${fake.nowMs}`),
      onFollow: () => events.push('follow'),
    }),
  };
}

async function pair() {
  const fake = new FakeRuntime(5);
  const server = new LeaseServer();
  const one = join(server, fake, 'one');
  await fake.advance(0);
  const two = join(server, fake, 'two');
  await fake.advance(30_000);
  return { fake, server, one, two };
}

function leaders(...replicas: readonly Replica[]): number {
  return replicas.filter((replica) => replica.campaign.isLeading()).length;
}

describe('a campaign', () => {
  test('makes the first replica leader, and only it', async () => {
    const { server, one, two } = await pair();
    expect([one.campaign.isLeading(), two.campaign.isLeading()]).toEqual([true, false]);
    expect(one.events).toEqual(['lead 0']);
    expect(server.holder).toBe('one');
    expect(server.transitions).toBe(0);
  });

  test('hands over at once when the leader ends properly', async () => {
    const { fake, server, one, two } = await pair();
    await one.campaign.stop();
    expect(one.events).toEqual(['lead 0', 'follow']);
    expect(server.holder).toBe('');
    await fake.advance(5_000);
    expect(two.campaign.isLeading()).toBe(true);
    expect(server.transitions).toBe(1);
  });

  test('gives back what it took in the very moment of its end, without ever leading', async () => {
    const { fake, server, one, two } = await pair();
    let ended: Promise<void> | undefined;
    server.onWrite = () => {
      if (server.holder === 'two') ended ??= two.campaign.stop();
    };
    await one.campaign.stop();
    await fake.advance(3_000);
    await ended;
    expect(two.events).toEqual([]);
    expect(server.holder).toBe('');
    expect(server.transitions).toBe(1);
  });

  test('gives back a lease whose last renewal has failed', async () => {
    const { fake, server, one, two } = await pair();
    server.hang('one');
    await fake.advance(6_500);
    expect(one.campaign.isLeading()).toBe(true);
    server.reconnect();
    const ended = one.campaign.stop();
    await fake.advance(5_000);
    await ended;
    expect(two.campaign.isLeading()).toBe(true);
  });

  test('hands over within 25 s when the leader vanishes, after it has given up', async () => {
    const { fake, server, one, two } = await pair();
    server.cutOff('one');
    for (let second = 0; second < 25; second += 1) {
      await fake.advance(1_000);
      expect(leaders(one, two)).toBeLessThanOrEqual(1);
    }
    expect(one.events).toEqual(['lead 0', 'follow']);
    expect(two.campaign.isLeading()).toBe(true);
  });

  test('ends leading in time although its request hangs', async () => {
    const { fake, server, one, two } = await pair();
    server.hang('one');
    await fake.advance(11_000);
    expect(one.campaign.isLeading()).toBe(false);
    expect(one.events.at(-1)).toBe('follow');
    await fake.advance(15_000);
    expect(leaders(one, two)).toBe(1);
  });

  test('goes on leading when one renewal hangs', async () => {
    const { fake, server, one } = await pair();
    server.hang('one');
    await fake.advance(2_500);
    server.reconnect();
    await fake.advance(60_000);
    expect(one.events).toEqual(['lead 0']);
    expect(one.campaign.isLeading()).toBe(true);
  });

  test('does not lead by an answer that comes too late', async () => {
    const fake = new FakeRuntime(5);
    const server = new LeaseServer();
    let sleepMs = 20_000;
    server.onWrite = () => {
      fake.sleep(sleepMs);
      sleepMs = 0;
    };
    const one = join(server, fake, 'one');
    await fake.advance(0);
    expect(one.events).toEqual([]);
    await fake.advance(5_000);
    expect(one.campaign.isLeading()).toBe(true);
    await one.campaign.stop();
  });

  test('does not lead when it wakes after a long sleep', async () => {
    const { fake, one } = await pair();
    fake.sleep(20_000);
    expect(one.campaign.isLeading()).toBe(false);
  });

  test('lets nobody lead while the server is away, and one afterwards', async () => {
    const { fake, server, one, two } = await pair();
    server.cutOff('one');
    server.cutOff('two');
    await fake.advance(60_000);
    expect(leaders(one, two)).toBe(0);
    server.reconnect();
    await fake.advance(30_000);
    expect(leaders(one, two)).toBe(1);
  });

  test('keeps the acquire time and counts no transition while it renews', async () => {
    const { fake, server } = await pair();
    const acquired = server.acquireTime;
    await fake.advance(60_000);
    expect(server.acquireTime).toBe(acquired);
    expect(server.transitions).toBe(0);
    expect(server.renewTime).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  });

  test('leaves no timer behind', async () => {
    const { fake, one, two } = await pair();
    await one.campaign.stop();
    await two.campaign.stop();
    expect(fake.timerCount).toBe(0);
  });
});
