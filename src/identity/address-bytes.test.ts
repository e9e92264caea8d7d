// Address texts that people write in certificates, and those that only look
// like addresses.
import { expect, test } from 'vitest';
import { addressBytes } from './address-bytes.ts';

const hex = (text: string) => {
  const bytes = addressBytes(text);
  return bytes && Buffer.from(bytes).toString('hex');
};

test.each([
  ['127.0.0.1', '7f000001'],
  ['255.255.255.255', 'ffffffff'],
  ['::', '0'.repeat(32)],
  ['::1', `${'0'.repeat(31)}1`],
  ['2001:db8::8:800:200c:417a', '20010db80000000000080800200c417a'],
  ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
  ['fe80::', `fe80${'0'.repeat(28)}`],
  ['::ffff:10.1.2.3', '00000000000000000000ffff0a010203'],
])('%s', (text, expected) => {
  expect(hex(text)).toBe(expected);
});

test.each([
  '', '1.2.3', '1.2.3.4.5', '256.0.0.1', '01.2.3.4', '1.2.3.x', ':', ':::', '1::2::3',
  '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', '1:2:3:4::5:6:7:8', '12345::', 'g::', 'fe80::1%eth0',
  '1.2.3.4::', '::1.2.3.4:5', '::1/64',
])('%s is no address', (text) => {
  expect(hex(text)).toBeUndefined();
});
