// What quotas and limit ranges do to the pods of an installation, one law per finding. Facts are
// made by hand; that the API server sees it so is tried in test/kube/pre-check.test.ts.
import { describe, expect, test } from 'vitest';
import { initialValues } from '../install/read-values.ts';
import { installed } from '../install/install-objects.ts';
import { objectOf } from '../install/manifest.ts';
import { podNeeds } from './install-needs.ts';
import { limitFindings, type LimitEntry, type LimitFacts, type Quota } from './quota-facts.ts';

const objects = installed(initialValues(), 'weft-system', '1.0.0').map(objectOf);
const pods = podNeeds(objects, 3);
const none = new Map<string, string>();
const good: LimitFacts = { meshNamespace: 'weft-system', pods, quotas: [], limits: [] };

type Amounts = Readonly<Record<string, string>>;

function quota(hard: Amounts, used: Amounts = {}) {
  const maps = { hard: new Map(Object.entries(hard)), used: new Map(Object.entries(used)) };
  return { name: 'team', covers: () => true, ...maps } satisfies Quota;
}

function range(entry: Partial<LimitEntry>): LimitEntry {
  return { name: 'team', max: none, min: none, initial: none, ratioMax: none, ...entry };
}

function told(facts: Partial<LimitFacts>): readonly string[] {
  return limitFindings({ ...good, ...facts }).map(({ state, message }) => `${state}: ${message}`);
}

describe('the pods of an installation', () => {
  test('are those of the manifests, one more of each while they are replaced', () => {
    expect(pods.map(({ what, count }) => [what, count])).toEqual([
      ['DaemonSet weft-proxy', 4],
      ['Deployment weft-controller', 3],
    ]);
    expect(pods[0]?.amounts.get('limits.memory')).toBe('1Gi');
    expect(pods[0]?.amounts.get('limits.cpu')).toBeUndefined();
  });
});

describe('quotas', () => {
  test('none at all is well, and so is one with room', () => {
    const well = 'ok: no quota or limit range of namespace weft-system stands in the way';
    expect(told({})).toEqual([well]);
    expect(told({ quotas: [quota({ pods: '10', 'requests.memory': '10Gi' })] })[0]).toMatch(/^ok/);
  });

  test('too few pods, counted with what others use', () => {
    expect(told({ quotas: [quota({ pods: '9' }, { pods: '3' })] })).toEqual([
      'failed: ResourceQuota team has too little pods: 6 of 9 are free, weft needs 7',
    ]);
  });

  test('too little memory, in either spelling', () => {
    for (const name of ['memory', 'requests.memory']) {
      expect(told({ quotas: [quota({ [name]: '1Gi' })] })[0]).toMatch(
        new RegExp(`^failed: ResourceQuota team has too little ${name}: `),
      );
    }
  });

  test('one of CPU limits refuses pods that state none, unless a LimitRange states one', () => {
    const quotas = [quota({ 'limits.cpu': '100' })];
    expect(told({ quotas })[0]).toMatch(/^failed: .* limits limits\.cpu: DaemonSet weft-proxy /);
    const limits = [range({ initial: new Map([['cpu', '2']]) })];
    expect(told({ quotas, limits }).every((line) => line.startsWith('warning'))).toBe(true);
  });

  test('one that speaks of other pods, or of other things, is left alone', () => {
    const other = { ...quota({ pods: '0' }), covers: () => false };
    expect(told({ quotas: [other, quota({ 'count/secrets': '0' })] })[0]).toMatch(/^ok/);
  });
});

describe('limit ranges', () => {
  test.each([
    ['a limit over the maximum', { max: new Map([['memory', '512Mi']]) }, /allows 512Mi of memory/],
    ['a request under the minimum', { min: new Map([['cpu', '1']]) }, /wants 1 of cpu at least/],
    ['limit over ratio', { ratioMax: new Map([['memory', '2']]) }, /at most 2 times the request/],
  ])('%s fails', (_what, entry, expected) => {
    const lines = told({ limits: [range(entry)] });
    expect(lines[0]).toMatch(/^failed/);
    expect(lines[0]).toMatch(expected);
  });

  test('a CPU limit for containers that have none is a warning', () => {
    expect(told({ limits: [range({ initial: new Map([['cpu', '500m']]) })] })[0]).toBe(
      'warning: LimitRange team gives the pods of DaemonSet weft-proxy a CPU limit of 500m',
    );
  });
});
