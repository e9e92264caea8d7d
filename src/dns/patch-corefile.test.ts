// Laws of the Corefile patch over generated texts, and the bytes that golden pages cannot show:
// line ends, byte order marks, missing final newlines.
import { describe, expect, test } from 'vitest';
import { brokenCorefile, randomCorefile } from '../../test/support/random-corefile.ts';
import { seededRandom } from '../lib/random.ts';
import { readCorefile } from './corefile.ts';
import { patchCorefile, removeFromCorefile, type MeshDnsWish } from './patch-corefile.ts';

const wish: MeshDnsWish = {
  domains: ['mesh', 'traefik.mesh'],
  clusterDomain: 'cluster.local',
  address: '10.96.7.7',
  withheld: new Set(),
};
const root = '.:53 {\n    whoami\n    reload\n}\n';
const patched = (text: string, change: Partial<MeshDnsWish> = {}) =>
  patchCorefile(text, { ...wish, ...change });
const removed = (text: string) => removeFromCorefile(text, wish).text;

describe('laws', () => {
  const texts = Array.from({ length: 500 }, (_one, seed) => randomCorefile(seededRandom(seed)));

  test('generated Corefiles are read, and get our blocks', () => {
    for (const text of texts) {
      const patch = patched(text);
      expect(patch.obstacles, text).toEqual([]);
      expect(patch.served).toEqual(wish.domains);
      expect(patch.text).not.toBe(text);
    }
  });

  test('taking out what was put in gives every byte back', () => {
    for (const text of texts) expect(removed(patched(text).text)).toBe(text);
  });

  test('putting in twice is putting in once', () => {
    for (const text of texts) {
      const once = patched(text).text;
      expect(patched(once).text).toBe(once);
    }
  });

  test('another wish replaces the blocks of the first', () => {
    const change = { domains: ['other'], address: 'fd00::7' };
    for (const text of texts) {
      const replaced = patched(patched(text).text, change).text;
      expect(replaced).toBe(patched(text, change).text);
      expect(removed(replaced)).toBe(text);
    }
  });

  test('what stands around our blocks is never changed', () => {
    for (const text of texts) {
      const mark = text.startsWith('\ufeff') ? 1 : 0;
      const after = patched(text).text;
      expect(after.startsWith(text.slice(0, mark))).toBe(true);
      expect(after.endsWith(text.slice(mark))).toBe(true);
    }
  });

  test('a text that cannot be read stays as it is; nothing throws or hangs', () => {
    let unreadable = 0;
    for (let seed = 0; seed < 2_000; seed += 1) {
      const text = brokenCorefile(seededRandom(seed));
      const patch = patched(text);
      if (readCorefile(text).kind === 'unreadable') {
        unreadable += 1;
        expect(patch.text).toBe(text);
        expect(patch.obstacles.length).toBe(1);
      } else if (patch.text !== text && !text.includes('# weft:')) {
        expect(removed(patch.text)).toBe(text);
      }
    }
    expect(unreadable).toBeGreaterThan(200);
  });
});

describe('bytes', () => {
  test.each([
    ['line ends of DOS', root.replaceAll('\n', '\r\n')],
    ['no final line end', root.trimEnd()],
    ['a byte order mark', `\ufeff${root}`],
    ['blank lines at both ends', `\n\n${root}\n\n \t`],
  ])('%s come back', (_what, text) => {
    expect(patched(text).served).toEqual(wish.domains);
    expect(removed(patched(text).text)).toBe(text);
  });

  test('our lines end as those of the file do', () => {
    const text = patched(root.replaceAll('\n', '\r\n')).text;
    expect(text.replaceAll('\r\n', '')).not.toContain('\n');
  });

  test('what somebody added around our blocks stays when they go', () => {
    const text = `# mine\n${patched(root).text}other.example {\n    whoami\n}`;
    expect(removed(text)).toBe(`# mine\n${root}other.example {\n    whoami\n}`);
  });

  test('our blocks are taken out of a file that somebody broke since', () => {
    expect(removed(`${patched(root).text}oops {\n`)).toBe(`${root}oops {\n`);
  });

  test('comments and indentation inside our blocks are no edit', () => {
    const text = patched(root).text.replaceAll('    errors', '\terrors # what else');
    expect(patched(text).text).toBe(text);
    expect(removed(text)).toBe(root);
  });

  test('an edited block is taken out as long as it is about mesh names alone', () => {
    const logging = patched(root).text.replace('    errors', '    log');
    expect(removed(logging)).toBe(root);
    const foreign = patched(root).text.replace('# weft:end', 'my.example {\n}\n# weft:end');
    const left = removeFromCorefile(foreign, wish);
    expect(left.text).toBe(foreign);
    expect(left.obstacles.map(({ kind }) => kind)).toEqual(['edited']);
  });

  test('domains that are wished no longer go, and the last one takes the markers with it', () => {
    const both = patched(root).text;
    const one = patched(both, { domains: ['mesh'] });
    expect(one.text).toBe(patched(root, { domains: ['mesh'] }).text);
    expect(patched(both, { domains: [] }).text).toBe(root);
  });
});

describe('zones', () => {
  test('a zone that somebody begins to serve beside ours is left to them', () => {
    const text = `${patched(root).text}traefik.mesh:53 {\n    whoami\n}\n`;
    const patch = patched(text);
    expect(patch.served).toEqual(['mesh']);
    expect(patch.obstacles.map(({ kind }) => kind)).toEqual(['taken']);
    expect(patch.text.match(/traefik\.mesh:53/g)).toHaveLength(1);
  });

  test('the same zone on another port, or of another protocol, is another server', () => {
    const text = `${root}mesh:5353 {\n    whoami\n}\ntls://mesh:53 {\n    whoami\n}\n`;
    expect(patched(text).served).toEqual(wish.domains);
  });

  test('a zone in another file that is loaded as well is taken', () => {
    const others = ['Mesh.:53 {\n    whoami\n}\n'];
    expect(patchCorefile(root, wish, { others }).served).toEqual(['traefik.mesh']);
  });

  test('a zone that the cache takes from stub domains is taken', () => {
    const takenZones = ['MESH.'];
    expect(patchCorefile(root, wish, { takenZones }).served).toEqual(['traefik.mesh']);
  });
});
