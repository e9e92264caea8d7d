// Which addresses a block has: in both families, at their edges, and for blocks that are none.
// NetworkPolicies arrive as the API server took them, so a bad block is only passed over.
import { describe, expect, test } from 'vitest';
import { blockOf, isInBlock } from './address-block.ts';

const table: readonly (readonly [cidr: string, address: string, isIn: boolean])[] = [
  ['10.244.0.0/16', '10.244.255.255', true],
  ['10.244.0.0/16', '10.245.0.0', false],
  ['10.0.0.0/9', '10.127.255.255', true],
  ['10.0.0.0/9', '10.128.0.0', false],
  ['0.0.0.0/0', '203.0.113.9', true],
  ['10.0.0.11/32', '10.0.0.11', true],
  ['10.0.0.11/32', '10.0.0.12', false],
  ['10.0.0.77/24', '10.0.0.1', true],
  ['fd00:10:244::/64', 'fd00:10:244::7', true],
  ['fd00:10:244::/64', 'fd00:10:244:1::7', false],
  ['fd00:10:244::/47', 'fd00:10:245::1', true],
  ['::/0', '2001:db8::1', true],
  ['::1/128', '::1', true],
  ['::/0', '10.0.0.1', false],
  ['0.0.0.0/0', '::1', false],
  ['10.0.0.0/33', '10.0.0.0', false],
  ['10.0.0.0/-1', '10.0.0.0', false],
  ['10.0.0.0/x', '10.0.0.0', false],
  ['010.0.0.0/8', '10.0.0.0', false],
  ['', '10.0.0.0', false],
];

describe('isInBlock', () => {
  test.each(table)('%s has %s: %s', (cidr, address, isIn) => {
    expect(isInBlock(cidr, address)).toBe(isIn);
  });

  test.each(['10.0.0.11', 'fd00::7'])('the block of %s has it and no other', (address) => {
    expect(isInBlock(blockOf(address), address)).toBe(true);
    expect(isInBlock(blockOf(address), address.replace(/.$/, '9'))).toBe(false);
  });
});
