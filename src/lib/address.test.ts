// Addresses are keys of tables that say who somebody is: one spelling each, and nothing that is not
// an address.
import { describe, expect, test } from 'vitest';
import { addressFamily, normaliseAddress } from './address.ts';

describe('an address has one spelling', () => {
  const spellings: readonly (readonly [string, string])[] = [
    ['10.1.2.3', '10.1.2.3'],
    ['0.0.0.0', '0.0.0.0'],
    ['::ffff:10.1.2.3', '10.1.2.3'],
    ['::FFFF:0a01:0203', '10.1.2.3'],
    ['0:0:0:0:0:ffff:10.1.2.3', '10.1.2.3'],
    ['::', '::'],
    ['::1', '::1'],
    ['FD00:0:0:0:0:0:0:1', 'fd00::1'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0db8::0001', '2001:db8::1'],
    ['fd00::', 'fd00::'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['64:ff9b::10.1.2.3', '64:ff9b::a01:203'],
  ];
  test.each(spellings)('%s is %s', (text, expected) => {
    expect(normaliseAddress(text)).toBe(expected);
    expect(normaliseAddress(expected)).toBe(expected);
  });

  const refused = [
    '', 'localhost', '10.1.2', '10.1.2.3.4', '010.1.2.3', '10.1.2.256', '10.1.2.3 ', '0x0a.1.2.3',
    '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', '1::2::3', ':::', '1:2:3:4:5:6:7:8::', '12345::',
    'fe80::1%eth0', '::ffff:10.1.2.3:1', '10.1.2.3::', '::10.1.2', 'g::', '[::1]', ':1:2:3:4:5:6:7',
    '1'.repeat(100),
  ];
  test.each(refused)('%j is no address', (text) => {
    expect(normaliseAddress(text)).toBeUndefined();
  });
});

test('the family of a mapped address is IPv4', () => {
  expect(addressFamily(normaliseAddress('::ffff:1.2.3.4') ?? '')).toBe('IPv4');
  expect(addressFamily('fd00::1')).toBe('IPv6');
});
