// Ports of the mesh Service: stable, in their range, each given once; and the listeners that are
// read back from it.
import { describe, expect, test } from 'vitest';
import { portOf, serviceOf } from '../../test/support/builders.ts';
import { seededRandom, shuffled } from '../lib/random.ts';
import type { Service } from '../api/index.ts';
import { allocatePorts, listenersOf } from './mesh-services.ts';

function wanted(...ports: readonly number[]) {
  return ports.map((port) => ({ port, namespace: 'shop', service: `web-${port}` }));
}

function meshService(pairs: readonly (readonly [number, number])[]): Service {
  const ports = pairs.map(([port, targetPort]) => portOf(port, { targetPort }));
  return serviceOf('weft-system/weft-http', { ports });
}

describe('allocatePorts', () => {
  test('gives each Service port a proxy port that one can guess', () => {
    const { value, problems } = allocatePorts(wanted(80, 8080), undefined);
    expect(value.map(({ servicePort, targetPort }) => [servicePort, targetPort])).toEqual([
      [80, 15_180],
      [8080, 15_980],
    ]);
    expect(problems).toEqual([]);
  });

  test('keeps what was given, drops what nobody wants, and fills in beside', () => {
    const existing = meshService([
      [80, 15_500],
      [81, 15_182],
      [9090, 15_180],
    ]);
    const { value } = allocatePorts(wanted(80, 980, 9090), existing);
    expect(value.map(({ servicePort, targetPort }) => [servicePort, targetPort])).toEqual([
      [80, 15_500],
      [980, 15_181],
      [9090, 15_180],
    ]);
  });

  test('does not depend on the order of wishes, and settles at once', () => {
    const random = seededRandom(3);
    const ports = Array.from({ length: 300 }, (_, index) => index * 37 + 1);
    const first = allocatePorts(wanted(...ports), undefined).value;
    expect(allocatePorts(wanted(...shuffled(ports, random)), undefined).value).toEqual(first);
    const existing = meshService(
      first.map(({ servicePort, targetPort }) => [servicePort, targetPort]),
    );
    expect(allocatePorts(wanted(...shuffled(ports, random)), existing).value).toEqual(first);
  });

  test('gives every proxy port once, and says who gets none when they are all taken', () => {
    const ports = Array.from({ length: 901 }, (_, index) => index + 1_000);
    const { value, problems } = allocatePorts(wanted(...ports), undefined);
    expect(new Set(value.map(({ targetPort }) => targetPort)).size).toBe(900);
    expect(problems.map(({ reason, name }) => [reason, name])).toEqual([
      ['PortsExhausted', 'web-1900'],
    ]);
  });

  test('takes no port from outside the range, nor one for two', () => {
    const existing = meshService([
      [80, 22],
      [81, 15_300],
      [82, 15_300],
    ]);
    expect(listenersOf(existing)).toEqual([
      { protocol: 'http', servicePort: 81, targetPort: 15_300 },
    ]);
    const { value } = allocatePorts(wanted(80, 82), existing);
    expect(value.map(({ targetPort }) => targetPort)).toEqual([15_180, 15_182]);
  });
});
