// The rules of Service `weft-http`: its ports and their targets over time, what counts as a
// difference, what is taken out.
import { describe, expect, test } from 'vitest';
import { meshSettingsOf, parsers } from '../api/index.ts';
import type { Service } from '../api/index.ts';
import type { ListenerSpec } from '../snapshot/index.ts';
import {
  desiredMeshService,
  foreignPortsPatch,
  isAsDesired,
  meshServiceManifest,
  unusedKeptMs,
} from './mesh-service.ts';
import type { DesiredMeshService } from './mesh-service.ts';

const settings = meshSettingsOf(new Map());
const wanted = (...ports: number[]) =>
  ports.map((port) => ({ port, namespace: 'shop', service: 'web' }));

type Told = {
  readonly ports: readonly number[];
  readonly from?: DesiredMeshService;
  readonly existing?: Service | undefined;
  readonly nowMs?: number;
};

/** What is desired when the Service is as `from` desired it. */
function desire({ ports, from, existing, nowMs = 0 }: Told): DesiredMeshService {
  return desiredMeshService({
    wanted: wanted(...ports),
    existing: existing ?? (from && asService(from.ports)),
    unused: from?.unused ?? new Map(),
    nowMs,
  });
}

/** The Service that the API server would hold. */
function asService(ports: readonly ListenerSpec[]): Service | undefined {
  return parsers.Service(meshServiceManifest(settings, ports)).value;
}

const numbers = (desired: DesiredMeshService) =>
  desired.ports.map(({ servicePort }) => servicePort);

describe('desiredMeshService', () => {
  test('has one port for each port number that the mesh wants', () => {
    const desired = desire({ ports: [8080, 80, 9090] });
    expect(numbers(desired)).toEqual([80, 8080, 9090]);
    const targets = desired.ports.map(({ targetPort }) => targetPort);
    expect(new Set(targets).size).toBe(3);
    for (const target of targets) {
      expect(target).toBeGreaterThanOrEqual(15_100);
      expect(target).toBeLessThanOrEqual(15_999);
    }
  });

  test('a port keeps its target while others come and go', () => {
    const first = desire({ ports: [80, 980, 8080] });
    const second = desire({ ports: [80, 443, 980], from: first });
    const targetOf = (desired: DesiredMeshService, port: number) =>
      desired.ports.find(({ servicePort }) => servicePort === port)?.targetPort;
    for (const port of [80, 980, 8080]) expect(targetOf(second, port)).toBe(targetOf(first, port));
  });

  test('a port outlives its last user by ten minutes, and says when to look again', () => {
    const first = desire({ ports: [80, 8080], nowMs: 1_000 });
    const left = desire({ ports: [80], from: first, nowMs: 2_000 });
    expect(numbers(left)).toEqual([80, 8080]);
    expect(left.againAfterMs).toBe(unusedKeptMs);
    const waiting = desire({ ports: [80], from: left, nowMs: 1_999 + unusedKeptMs });
    expect(numbers(waiting)).toEqual([80, 8080]);
    expect(waiting.againAfterMs).toBe(1);
    const gone = desire({ ports: [80], from: waiting, nowMs: 2_000 + unusedKeptMs });
    expect(numbers(gone)).toEqual([80]);
    expect(gone.againAfterMs).toBeUndefined();
  });

  test('a port that is wanted again starts a new life', () => {
    const first = desire({ ports: [80, 8080] });
    const left = desire({ ports: [80], from: first, nowMs: 1_000 });
    const back = desire({ ports: [80, 8080], from: left, nowMs: 2_000 });
    const leftAgain = desire({ ports: [80], from: back, nowMs: 3_000 + unusedKeptMs });
    expect(numbers(leftAgain)).toEqual([80, 8080]);
    expect(leftAgain.againAfterMs).toBe(unusedKeptMs);
  });

  test('a leader that does not know since when a port is unused gives it the whole time', () => {
    const existing = asService(desire({ ports: [80, 8080] }).ports);
    const desired = desire({ ports: [80], existing, nowMs: 5_000_000 });
    expect(desired.againAfterMs).toBe(unusedKeptMs);
  });

  test('no service, no port: nothing is desired rather than an invalid Service', () => {
    expect(desire({ ports: [] })).toMatchObject({ ports: [], problems: [] });
    const last = desire({ ports: [80] });
    const kept = desire({ ports: [], from: last, nowMs: 1_000 });
    const gone = desire({ ports: [], from: kept, nowMs: 2_000 + unusedKeptMs });
    expect(gone.ports).toEqual([]);
  });

  test('a port that somebody else added is not kept, nor a target outside the range', () => {
    const manifest = meshServiceManifest(settings, desire({ ports: [80] }).ports);
    const ports = [
      { name: 'http-80', port: 80, protocol: 'TCP', targetPort: 15_180 },
      { name: 'sneaky', port: 9_999, protocol: 'TCP', targetPort: 15_200 },
      { name: 'http-22', port: 22, protocol: 'TCP', targetPort: 22 },
    ];
    const edited = { ...manifest, spec: { ...manifest.spec, ports } };
    const existing = parsers.Service(edited).value;
    expect(numbers(desire({ ports: [80], existing }))).toEqual([80]);
  });

  test('when ports run out, those that are in use come first', () => {
    const all = Array.from({ length: 900 }, (_, index) => index + 1);
    const full = desire({ ports: all });
    expect(full.problems).toEqual([]);
    const more = desire({ ports: [...all.slice(1), 5_000], from: full, nowMs: 1_000 });
    expect(more.problems).toEqual([]);
    expect(numbers(more)).toContain(5_000);
    expect(numbers(more)).not.toContain(1);
    const tooMany = desire({ ports: [...all, 5_000], from: full, nowMs: 1_000 });
    expect(tooMany.problems).toMatchObject([{ reason: 'PortsExhausted', namespace: 'shop' }]);
    expect(tooMany.ports).toEqual(full.ports);
  });
});

describe('isAsDesired', () => {
  const { ports } = desire({ ports: [80, 8080] });
  const manifest = meshServiceManifest(settings, ports);
  /** As the API server gives it back: defaults, addresses, another order of ports. */
  const served = {
    ...manifest,
    metadata: {
      ...manifest.metadata,
      uid: 'u',
      resourceVersion: '7',
      labels: { ...manifest.metadata.labels, extra: 'x' },
    },
    spec: {
      ...manifest.spec,
      clusterIP: '10.96.0.7',
      clusterIPs: ['10.96.0.7'],
      sessionAffinity: 'None',
      ports: [...(manifest.spec.ports as unknown[])].reverse(),
    },
  };

  test('what the API server adds is no difference', () => {
    expect(isAsDesired(served, manifest)).toBe(true);
    expect(isAsDesired(undefined, manifest)).toBe(false);
  });

  test.each([
    ['type', { type: 'NodePort' }],
    ['internalTrafficPolicy', { internalTrafficPolicy: 'Cluster' }],
    ['ipFamilyPolicy', { ipFamilyPolicy: 'SingleStack' }],
    ['a selector more', { selector: { ...(manifest.spec.selector as object), extra: 'x' } }],
    ['no selector', { selector: undefined }],
    ['a port less', { ports: (manifest.spec.ports as unknown[]).slice(1) }],
    ['no ports', { ports: [] }],
    ['a port more', { ports: [...(manifest.spec.ports as unknown[]), { port: 1, targetPort: 1 }] }],
  ])('an edit of %s is', (_what, spec) => {
    expect(isAsDesired({ ...served, spec: { ...served.spec, ...spec } }, manifest)).toBe(false);
  });

  test('a label that is gone is', () => {
    const metadata = { ...served.metadata, labels: {} };
    expect(isAsDesired({ ...served, metadata }, manifest)).toBe(false);
  });
});

test('foreign ports are removed from the end, for the version that was read', () => {
  const manifest = meshServiceManifest(settings, desire({ ports: [80] }).ports);
  const actual = {
    metadata: { resourceVersion: '12' },
    spec: {
      ports: [
        { port: 1, protocol: 'TCP' },
        { port: 80, protocol: 'TCP' },
        { port: 80, protocol: 'UDP' },
      ],
    },
  };
  expect(foreignPortsPatch(actual, manifest)).toEqual([
    { op: 'test', path: '/metadata/resourceVersion', value: '12' },
    { op: 'remove', path: '/spec/ports/2' },
    { op: 'remove', path: '/spec/ports/0' },
  ]);
  expect(foreignPortsPatch({ spec: { ports: [{ port: 80 }] } }, manifest)).toEqual([]);
});
