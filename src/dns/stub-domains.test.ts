// Laws of `stubDomains`: whatever the text is, our entries go in and come out without another byte
// changing, and what is somebody else's stays theirs.
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../lib/random.ts';
import type { MeshDnsWish } from './patch-corefile.ts';
import { foreignStubZones, patchStubDomains, removeStubDomains } from './stub-domains.ts';

const wish: MeshDnsWish = {
  domains: ['mesh', 'traefik.mesh'],
  clusterDomain: 'cluster.local',
  address: '10.96.7.7',
  withheld: new Set(),
};
const patched = (text: string | undefined, change: Partial<MeshDnsWish> = {}) =>
  patchStubDomains(text, undefined, { ...wish, ...change });

/** JSON objects with white space wherever JSON allows it. */
function randomStubs(seed: number): string {
  const random = seededRandom(seed);
  const blank = () => ['', '', ' ', '\n  ', '\t', ' \r\n'][Math.floor(random() * 6)] ?? '';
  const members = Array.from({ length: Math.floor(random() * 4) }, (_one, index) => {
    const servers = random() < 0.5 ? '["1.2.3.4"]' : `[ "5.6.7.8",${blank()}"a\\"]},{" ]`;
    return `${blank()}"zone-${index}"${blank()}:${blank()}${servers}${blank()}`;
  });
  return `${blank()}{${members.length === 0 ? blank() : members.join(',')}}${blank()}`;
}

describe('stubDomains', () => {
  const texts = Array.from({ length: 500 }, (_one, seed) => randomStubs(seed));

  test('are served with our entries and as before without them', () => {
    for (const text of texts) {
      const patch = patched(text);
      expect(patch.served).toEqual(wish.domains);
      const zones = JSON.parse(patch.text ?? '') as Record<string, unknown>;
      expect(zones['mesh.svc.cluster.local']).toEqual(['10.96.7.7']);
      expect(zones).toMatchObject(JSON.parse(text) as object);
      expect(removeStubDomains(patch.text, patch.note)).toBe(text);
    }
  });

  test('putting in twice is putting in once; another address replaces the first', () => {
    for (const text of texts) {
      const { text: once, note } = patched(text);
      expect(patchStubDomains(once, note, wish).text).toBe(once);
      const moved = { ...wish, address: '10.96.8.8' };
      expect(patchStubDomains(once, note, moved).text).toBe(patched(text, moved).text);
    }
  });

  test.each([undefined, '', ' \n'])('a key that holds nothing (%j) comes back so', (text) => {
    const patch = patched(text);
    expect(Object.keys(JSON.parse(patch.text ?? '') as object)).toHaveLength(3);
    expect(removeStubDomains(patch.text, patch.note)).toBe(text);
  });

  test('what somebody added to a key that we made stays', () => {
    const { text = '', note } = patched(undefined);
    const more = text.replace('{', '{"corp": ["9.9.9.9"], ');
    expect(removeStubDomains(more, note)).toBe('{"corp": ["9.9.9.9"]}');
  });

  test('an entry of ours that somebody changed is theirs', () => {
    const { text = '', note } = patched('{}');
    const changed = text.replace('"mesh": ["10.96.7.7"]', '"mesh": ["10.0.0.1"]');
    expect(removeStubDomains(changed, note)).toBe('{"mesh": ["10.0.0.1"]}');
    const again = patchStubDomains(changed, note, wish);
    expect(again.served).toEqual(['traefik.mesh']);
    expect(again.obstacles.map(({ kind }) => kind)).toEqual(['taken']);
  });

  test('a formatter is not fought', () => {
    const { text = '', note } = patched('{"a": ["1.2.3.4"]}');
    const pretty = JSON.stringify(JSON.parse(text), null, 2);
    expect(patchStubDomains(pretty, note, wish).text).toBe(pretty);
    const left = JSON.parse(removeStubDomains(pretty, note) ?? '') as unknown;
    expect(left).toEqual({ a: ['1.2.3.4'] });
  });

  test('a withheld domain is kept where it stands and not begun with', () => {
    const withheld = { ...wish, withheld: new Set(['mesh']) };
    expect(patched('{}', withheld).served).toEqual(['traefik.mesh']);
    const { text, note } = patched('{}');
    expect(patchStubDomains(text, note, withheld).text).toBe(text);
  });

  test('zones of others are told without ours', () => {
    const { text, note } = patched('{"Corp.": ["1.2.3.4"]}');
    expect(foreignStubZones(text, note)).toEqual(['corp']);
  });

  test.each(['[]', 'null', '{"a": ["1.2.3.4"]', 'mesh', '"x"'])('%s is left alone', (text) => {
    const patch = patched(text);
    expect(patch.text).toBe(text);
    expect(patch.obstacles.map(({ kind }) => kind)).toEqual(['unreadable']);
    expect(patch.linesByHand).toContain('"mesh": ["10.96.7.7"]');
  });
});
