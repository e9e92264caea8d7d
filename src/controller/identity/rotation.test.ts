// The order of a rotation: a root signs after all trust it, and goes after nobody uses it.
// Proxies are what they say, and time is a number.
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../lib/random.ts';
import { Agreement, nextStep, readStatement } from './rotation.ts';
import type { AskedProxy, RotationStep, RotationView } from './rotation.ts';

const r1 = '1'.repeat(64);
const r2 = '2'.repeat(64);
const minute = 60_000;
const hour = 60 * minute;

const adding: RotationView = {
  phase: 'adding',
  phaseSinceMs: 0,
  isRotationAsked: false,
  signing: r1,
  other: r2,
};
const switching: RotationView = { ...adding, phase: 'switching', signing: r2, other: r1 };
const removing: RotationView = { ...adding, phase: 'removing', signing: r2, other: undefined };
const steady: RotationView = { ...removing, phase: 'steady' };

function proxy(node: string, roots?: readonly string[], inUse: readonly string[] = []): AskedProxy {
  const said = roots === undefined ? undefined : { roots: new Set(roots), inUse: new Set(inUse) };
  return { uid: `uid-${node}`, node, said };
}

/** Runs with `--mtls off`, or was built before there was any. */
const without = (node: string): AskedProxy => ({ ...proxy(node), said: 'keeps none' });

type Round = { readonly atMs: number; readonly proxies: readonly AskedProxy[] };

/** The step after the last of these rounds. */
function after(view: RotationView, rounds: readonly Round[]): RotationStep {
  const agreement = new Agreement();
  let step: RotationStep = { kind: 'stay', waitsFor: [] };
  for (const { atMs, proxies } of rounds) {
    const waitsFor = agreement.note(view, proxies, atMs);
    const agreedMs = agreement.agreedMs(atMs);
    step = nextStep({ view, waitsFor, agreedMs, wallMs: atMs });
  }
  return step;
}

const every = (proxies: readonly AskedProxy[], untilMs: number): readonly Round[] =>
  Array.from({ length: Math.floor(untilMs / 5_000) + 1 }, (_, at) => ({
    atMs: at * 5_000,
    proxies,
  }));

describe('a steady authority', () => {
  test('stays until somebody asks for another root', () => {
    expect(after(steady, every([proxy('a', [r1])], hour))).toEqual({ kind: 'stay', waitsFor: [] });
    const asked = { ...steady, isRotationAsked: true };
    expect(after(asked, every([], 0))).toEqual({ kind: 'advance', to: 'adding' });
  });
});

describe('a new root signs', () => {
  test('after all have trusted it for a minute', () => {
    const all = [proxy('a', [r1, r2]), proxy('b', [r1, r2])];
    expect(after(adding, every(all, minute - 5_000)).kind).toBe('stay');
    expect(after(adding, every(all, minute))).toEqual({ kind: 'advance', to: 'switching' });
  });

  test.each([
    ['does not trust it', proxy('b', [r1])],
    ['does not answer', proxy('b')],
  ])('never while one %s', (_what, lagging) => {
    const step = after(adding, every([proxy('a', [r1, r2]), lagging], 100 * hour));
    expect(step).toEqual({ kind: 'stay', waitsFor: ['b'] });
  });

  test('a minute after the last proxy that came', () => {
    const first = every([proxy('a', [r1, r2])], 50_000);
    const both = [proxy('a', [r1, r2]), proxy('b', [r1, r2])];
    const at = (atMs: number) => ({ atMs, proxies: both });
    const later = (atMs: number) => [...first, at(55_000), at(atMs)];
    expect(after(adding, later(110_000)).kind).toBe('stay');
    expect(after(adding, later(115_000)).kind).toBe('advance');
  });

  test('not before one that took its word back has kept it for a minute', () => {
    const good = proxy('a', [r1, r2]);
    const rounds = [
      { atMs: 0, proxies: [good] },
      { atMs: 30_000, proxies: [proxy('a', [r1])] },
      { atMs: 35_000, proxies: [good] },
      { atMs: 90_000, proxies: [good] },
    ];
    expect(after(adding, rounds).kind).toBe('stay');
    expect(after(adding, [...rounds, { atMs: 95_000, proxies: [good] }]).kind).toBe('advance');
  });

  test('in spite of one that says nothing once it has agreed', () => {
    const rounds = [
      { atMs: 0, proxies: [proxy('a', [r1, r2])] },
      { atMs: minute, proxies: [proxy('a')] },
    ];
    expect(after(adding, rounds)).toEqual({ kind: 'advance', to: 'switching' });
  });

  test('in spite of one that is gone', () => {
    const rounds = [
      { atMs: 0, proxies: [proxy('a', [r1, r2]), proxy('b')] },
      { atMs: minute, proxies: [proxy('a', [r1, r2])] },
    ];
    expect(after(adding, rounds).kind).toBe('advance');
  });

  test('a minute after the beginning where there are no proxies', () => {
    expect(after(adding, every([], minute - 5_000)).kind).toBe('stay');
    expect(after(adding, every([], minute)).kind).toBe('advance');
  });

  test('in spite of one that keeps no identity: it takes and shows no certificate', () => {
    const mixed = [proxy('a', [r1, r2]), without('b')];
    expect(after(adding, every(mixed, minute)).kind).toBe('advance');
    expect(after(adding, every([without('b')], minute)).kind).toBe('advance');
    const late = [...every(mixed, minute - 5_000), { atMs: minute, proxies: [proxy('b')] }];
    expect(after(adding, late)).toEqual({ kind: 'advance', to: 'switching' });
  });

  test('not while one that kept none keeps one and does not trust it', () => {
    const rounds = [
      { atMs: 0, proxies: [without('b')] },
      { atMs: minute, proxies: [proxy('b', [r1])] },
    ];
    expect(after(adding, rounds)).toEqual({ kind: 'stay', waitsFor: ['b'] });
  });

  test('not by what was heard in another phase', () => {
    const agreement = new Agreement();
    const all = [proxy('a', [r1, r2])];
    agreement.note({ ...adding, phaseSinceMs: 1 }, all, 0);
    agreement.note(adding, all, 10 * minute);
    expect(agreement.agreedMs(10 * minute)).toBe(0);
  });
});

describe('an old root goes', () => {
  const done = proxy('a', [r2, r1], [r2]);

  test('after nobody has used it for a minute', () => {
    expect(after(switching, every([done], minute))).toEqual({ kind: 'advance', to: 'removing' });
  });

  test('not while one uses a certificate of it', () => {
    const step = after(switching, every([done, proxy('b', [r2, r1], [r2, r1])], 10 * hour));
    expect(step).toEqual({ kind: 'stay', waitsFor: ['b'] });
  });

  test('after 25 h, when all its certificates have expired', () => {
    const silent = [proxy('b')];
    expect(after(switching, [{ atMs: 25 * hour - 1, proxies: silent }]).kind).toBe('stay');
    expect(after(switching, [{ atMs: 25 * hour, proxies: silent }]).kind).toBe('advance');
  });

  test('at once where old and new are one root', () => {
    const same = { ...switching, other: undefined };
    const users = [proxy('a', [r2], [r2])];
    expect(after(same, every(users, minute)).kind).toBe('advance');
  });
});

describe('a rotation is over', () => {
  test('when all trust the new root alone', () => {
    expect(after(removing, every([proxy('a', [r2, r1])], hour - 5_000))).toEqual({
      kind: 'stay',
      waitsFor: ['a'],
    });
    const done = every([proxy('a', [r2])], 0);
    expect(after(removing, done)).toEqual({ kind: 'advance', to: 'steady' });
  });

  test('after an hour, whoever is silent: nothing is taken away by it', () => {
    const silent = [proxy('a')];
    expect(after(removing, [{ atMs: hour - 1, proxies: silent }]).kind).toBe('stay');
    expect(after(removing, [{ atMs: hour, proxies: silent }])).toEqual({
      kind: 'advance',
      to: 'steady',
    });
  });
});

describe('what a proxy says', () => {
  test('is read from /version', () => {
    const said = readStatement({ build: 'x', trust: { roots: [r1, r2], inUse: [r1] } });
    expect(said).toEqual({ roots: new Set([r1, r2]), inUse: new Set([r1]) });
  });

  test('and without a word of trust it keeps no identity', () => {
    expect(readStatement({ build: '0.1.0', policyVersion: 'x' })).toBe('keeps none');
  });

  test.each([
    undefined,
    'text',
    {},
    { trust: {} },
    { build: 'x', trust: {} },
    { build: 'x', trust: null },
    { build: 7 },
    { trust: { roots: [] } },
    { trust: { roots: ['AB', 7, r1.toUpperCase(), r1.replace(/1/g, 'A')].slice(0, 2) } },
    { trust: { roots: { length: 1, 0: r1 } } },
  ])('and is nothing where it is %j', (answer) => {
    expect(readStatement(answer)).toBeUndefined();
  });
});

test('law: whatever proxies come, go, lag and fall silent, order is kept', () => {
  for (let seed = 1; seed <= 200; seed += 1) {
    const random = seededRandom(seed);
    const agreement = new Agreement();
    let view: RotationView = adding;
    /** What each really trusts and uses; it says so or nothing. */
    const real = new Map<string, { roots: string[]; inUse: string[] }>();
    let next = 0;
    for (let atMs = 0; atMs < 2 * hour && view.phase !== 'steady'; atMs += 5_000) {
      if (random() < 0.05 || real.size === 0) {
        next += 1;
        // A new one reads the bundle in force.
        const roots = view.other === undefined ? [view.signing] : [view.signing, view.other];
        real.set(`n${next}`, { roots, inUse: [view.signing] });
      }
      for (const [node, it] of real) {
        if (random() < 0.02 && real.size > 1) real.delete(node);
        if (random() > 0.1) continue;
        it.roots = view.other === undefined ? [view.signing] : [view.signing, view.other];
        if (view.phase !== 'adding') it.inUse = [view.signing];
      }
      const proxies = [...real].map(([node, { roots, inUse }]) =>
        random() < 0.1 ? proxy(node) : proxy(node, roots, inUse),
      );
      const waitsFor = agreement.note(view, proxies, atMs);
      const input = { view, waitsFor, agreedMs: agreement.agreedMs(atMs), wallMs: atMs };
      const step = nextStep(input);
      if (step.kind === 'stay') continue;
      const all = [...real.values()];
      if (step.to === 'switching') expect(all.every(({ roots }) => roots.includes(r2))).toBe(true);
      if (step.to === 'removing') expect(all.some(({ inUse }) => inUse.includes(r1))).toBe(false);
      if (step.to === 'steady') expect(all.every(({ roots }) => !roots.includes(r1))).toBe(true);
      const following = { switching, removing, steady, adding }[step.to];
      view = { ...following, phaseSinceMs: atMs };
    }
    expect(view.phase).toBe('steady');
  }
});
