// Active checks: who is checked and when, and what workers see of it. Time is the test's and so are
// the answers; over real sockets a check is in health-probe.test.ts.
import { describe, expect, test } from 'vitest';
import {
  entryOf,
  metaOf,
  namespaceOf,
  podOf,
  portOf,
  serviceOf,
  settingsOf,
  sliceOf,
  stateOf,
} from '../../test/support/builders.ts';
import { compiled } from '../../test/support/core.ts';
import { fakeTime } from '../../test/support/fake-time.ts';
import { seededRandom } from '../lib/random.ts';
import { endpointCells } from '../dataplane/endpoint-cells.ts';
import { endpointHealthCells, HealthCells } from '../telemetry/health-cells.ts';
import { silentLog } from '../telemetry/index.ts';
import { HealthChecks } from './health-checks.ts';
import { afterCheck, checkTargets, unknownHealth } from './health-plan.ts';
import type { CheckTarget, Health } from './health-plan.ts';

const key = 'weft.dev/health-check';

type Mesh = {
  readonly check?: string;
  readonly pods?: readonly string[];
  readonly otherNode?: readonly string[];
  readonly appProtocol?: string;
};

/** Service shop/web with pods on this node, on another one, and one of another namespace. */
function meshOf({ check = '/up@1s', pods = [], otherNode = [], appProtocol }: Mesh) {
  const annotations = check === '' ? new Map<string, string>() : new Map([[key, check]]);
  const all = [...pods, ...otherNode];
  const nodeOf = (address: string) => (otherNode.includes(address) ? 'node-2' : 'node-1');
  const state = stateOf(
    namespaceOf('shop'),
    namespaceOf('bank'),
    serviceOf('shop/web', {
      meta: metaOf('shop/web', { annotations }),
      ports: [portOf(80, { appProtocol })],
    }),
    sliceOf('shop/web', {
      ports: [{ name: '', port: 8080, protocol: 'TCP' }],
      endpoints: [
        ...all.map((address) => entryOf(address, { nodeName: nodeOf(address) })),
        entryOf('10.9.9.9', { podName: 'safe' }),
      ],
    }),
    podOf('bank/safe', { addresses: ['10.9.9.9'] }),
    ...all.map((address) =>
      podOf(`shop/pod-${address.replaceAll('.', '-')}`, {
        addresses: [address],
        nodeName: nodeOf(address),
      }),
    ),
  );
  return compiled(state, settingsOf());
}

function idsOf({ snapshot, node }: ReturnType<typeof meshOf>): readonly string[] {
  return [...checkTargets(snapshot, node).keys()];
}

describe('who is checked', () => {
  test('pods of this node and of the Service’s namespace, at its path', () => {
    const mesh = meshOf({ pods: ['10.0.0.1', '10.0.0.2'], otherNode: ['10.0.0.3'] });
    expect(idsOf(mesh)).toEqual(['10.0.0.1:8080', '10.0.0.2:8080']);
    const [first] = checkTargets(mesh.snapshot, mesh.node).values();
    expect(first).toMatchObject({
      kind: 'http',
      host: 'web.shop.mesh',
      rule: { path: '/up', everyMs: 1_000 },
    });
  });

  test('nobody without the annotation', () => {
    expect(idsOf(meshOf({ check: '', pods: ['10.0.0.1'] }))).toEqual([]);
  });

  test('pods of HTTP/2 by their connection', () => {
    const mesh = meshOf({ pods: ['10.0.0.1'], appProtocol: 'kubernetes.io/h2c' });
    expect([...checkTargets(mesh.snapshot, mesh.node).values()][0]?.kind).toBe('connect');
  });
});

describe('what checks say', () => {
  test('two failures in a row are out, one pass is in', () => {
    const states: boolean[] = [];
    let health: Health = unknownHealth;
    for (const hasPassed of [false, true, false, false, false, true, false, true]) {
      health = afterCheck(health, hasPassed);
      states.push(health.isOut);
    }
    expect(states).toEqual([false, false, false, true, true, false, false, false]);
  });
});

test('workers look where checks write', () => {
  expect(endpointCells).toMatchObject(endpointHealthCells);
});

function world() {
  const time = fakeTime({ wallMs: 1_790_000_000_000 });
  const cells = new Int32Array(64 * 200);
  const slots = new Map<string, number>();
  const asked: { readonly id: string; readonly atMs: number }[] = [];
  let underWay = 0;
  let most = 0;
  let answer: (target: CheckTarget) => boolean | 'never' = () => true;
  const lines: object[] = [];
  const checks = new HealthChecks({
    clock: time.clock,
    timers: time.timers,
    random: seededRandom(3),
    log: { ...silentLog, warn: (_, facts) => void lines.push(facts ?? {}) },
    cellsOf: (id) => {
      if (!slots.has(id)) slots.set(id, slots.size + 1);
      return new HealthCells(cells, (slots.get(id) ?? 0) * 64);
    },
    probe: (target, told) => {
      asked.push({ id: target.id, atMs: time.nowMs() });
      underWay += 1;
      most = Math.max(most, underWay);
      const timer = time.timers.after(5, () => {
        const said = answer(target);
        if (said === 'never') return;
        underWay -= 1;
        told(said);
      });
      return () => {
        timer.cancel();
        underWay -= 1;
      };
    },
  });
  return {
    ...{ time, asked, checks, cells, lines },
    most: () => most,
    answers: (next: typeof answer) => (answer = next),
    isOut: (id: string) => new HealthCells(cells, (slots.get(id) ?? 0) * 64).isOut,
    follow: (mesh: ReturnType<typeof meshOf>) => checks.follow(mesh.snapshot, mesh.node),
  };
}

const pods = ['10.0.0.1', '10.0.0.2', '10.0.0.3'];

describe('checks', () => {
  test('come at their interval, within a tenth, from a moment of the first one', () => {
    const { time, asked, follow, checks } = world();
    follow(meshOf({ pods }));
    time.advance(20_000);
    for (const address of pods) {
      const times = asked.filter(({ id }) => id.startsWith(address)).map(({ atMs }) => atMs);
      expect(times[0]).toBeLessThan(1_000);
      expect(times.length).toBeGreaterThanOrEqual(19);
      expect(times.length).toBeLessThanOrEqual(21);
      const gaps = times.slice(1).map((atMs, n) => atMs - (times[n] ?? 0));
      expect(Math.min(...gaps)).toBeGreaterThanOrEqual(950);
      expect(Math.max(...gaps)).toBeLessThanOrEqual(1_050);
    }
    expect(new Set(asked.slice(0, 3).map(({ atMs }) => atMs)).size).toBe(3);
    checks.close();
    expect(time.timerCount()).toBe(0);
  });

  test('put out who fails twice, take in who passes, and say so', () => {
    const { time, answers, follow, checks, isOut, lines } = world();
    follow(meshOf({ pods }));
    answers(({ address }) => address !== '10.0.0.1');
    time.advance(3_000);
    expect(pods.map((address) => isOut(`${address}:8080`))).toEqual([true, false, false]);
    expect(checks.samples()[0]?.value).toBe(1);
    answers(() => true);
    time.advance(1_100);
    expect(isOut('10.0.0.1:8080')).toBe(false);
    expect(lines).toEqual([
      { service: 'shop/web', endpoint: '10.0.0.1:8080', state: 'out' },
      { service: 'shop/web', endpoint: '10.0.0.1:8080', state: 'in' },
    ]);
    checks.close();
  });

  test('keep their state over other changes, and forget who is gone', () => {
    const { time, answers, follow, checks, isOut, asked } = world();
    follow(meshOf({ pods }));
    answers(() => false);
    time.advance(3_000);
    follow(meshOf({ pods: [...pods, '10.0.0.4'] }));
    expect(isOut('10.0.0.1:8080')).toBe(true);
    follow(meshOf({ pods: ['10.0.0.2'] }));
    expect(isOut('10.0.0.1:8080')).toBe(false);
    expect(isOut('10.0.0.2:8080')).toBe(true);
    follow(meshOf({ check: '', pods }));
    expect(isOut('10.0.0.2:8080')).toBe(false);
    const { length } = asked;
    time.advance(10_000);
    expect(asked).toHaveLength(length);
    expect(time.timerCount()).toBe(0);
    checks.close();
  });

  test('are bounded in number, and all have their turn', () => {
    const { time, follow, most, asked, checks, answers } = world();
    const many = Array.from({ length: 100 }, (_, n) => `10.0.1.${n + 1}`);
    follow(meshOf({ check: '/up@100ms', pods: many }));
    time.advance(2_000);
    expect(most()).toBeLessThanOrEqual(32);
    expect(new Set(asked.map(({ id }) => id)).size).toBe(100);
    answers(() => 'never');
    time.advance(1_000);
    const { length } = asked;
    follow(meshOf({ pods: [] }));
    time.advance(5_000);
    expect(asked.length - length).toBeLessThanOrEqual(100);
    expect(time.timerCount()).toBe(0);
    checks.close();
  });

  test('take back what workers ejected', () => {
    const { time, follow, cells, checks, asked } = world();
    follow(meshOf({ pods: ['10.0.0.1'] }));
    cells[64 + 12] = 1;
    cells[64 + 13] = (time.clock.wallMs() + 60_000) | 0;
    time.advance(1_200);
    expect(asked.length).toBeGreaterThan(0);
    expect(cells[64 + 12]).toBe(0);
    checks.close();
  });
});
