// Host syntax, both ways: what names a host, and what must be a 400 because two readers could see
// two hosts in it.
import { describe, expect, test } from 'vitest';
import { parseAuthority } from './authority.ts';

describe('Host', () => {
  test.each([
    ['web.shop.mesh', 'web.shop.mesh'],
    ['WEB.Shop.Mesh', 'web.shop.mesh'],
    ['web.shop.mesh.', 'web.shop.mesh'],
    ['web.shop.mesh.:8080', 'web.shop.mesh'],
    ['web:80', 'web'],
    ['web:', 'web'],
    ['web:00080', 'web'],
    ['web:65535', 'web'],
    ['a_b~c', 'a_b~c'],
    ['constructor', 'constructor'],
    ['127.0.0.1:9901', '127.0.0.1'],
    ['[::1]', '[::1]'],
    ['[FE80::1]:443', '[fe80::1]'],
    ['[::ffff:1.2.3.4]', '[::ffff:1.2.3.4]'],
  ])('%s is %s', (text, hostname) => {
    expect(parseAuthority(text)).toEqual({ text, hostname });
  });

  test.each([
    '',
    '.',
    ':80',
    'a b',
    'a\tb',
    'a,b',
    'a@b',
    'user:pass@b',
    'a?x',
    'a#x',
    'a/b',
    'a\\b',
    'a%41',
    'a:b',
    'a:80:80',
    'a:-1',
    'a:+80',
    'a:0x50',
    'a:65536',
    'a:99999',
    'a:000080',
    'a: 80',
    '[::1',
    '::1]',
    '[::1]]',
    '[[::1]]',
    '[]',
    '[::1]a',
    '[::1%eth0]',
    '[v1.x]',
    '[1.2.3.4]',
    '::1',
    'a\x00',
    'a\x7f',
    'caf\xe9',
    '"a"',
    '<a>',
    'a;b',
    'http://a',
  ])('%j is refused', (text) => {
    expect(parseAuthority(text)).toBeUndefined();
  });
});
