// Blocks of addresses (CIDR), as NetworkPolicies write them. Addresses arrive in their one normal
// spelling; a block that is none contains nothing.
import { addressFamily, normaliseAddress } from '../../lib/address.ts';

export function isInBlock(cidr: string, address: string): boolean {
  const slash = cidr.indexOf('/');
  const base = normaliseAddress(slash < 0 ? cidr : cidr.slice(0, slash));
  if (base === undefined || addressFamily(base) !== addressFamily(address)) return false;
  const all = bitsOf(base).length;
  const length = slash < 0 ? all : Number(cidr.slice(slash + 1));
  if (!Number.isInteger(length) || length < 0 || length > all) return false;
  return bitsOf(base).slice(0, length) === bitsOf(address).slice(0, length);
}

/** The block that has this address alone. */
export function blockOf(address: string): string {
  return `${address}/${addressFamily(address) === 'IPv4' ? 32 : 128}`;
}

function bitsOf(normalised: string): string {
  if (addressFamily(normalised) === 'IPv4') {
    return normalised.split('.').map((part) => binary(Number(part), 8)).join('');
  }
  const [head = '', tail = ''] = normalised.split('::');
  const groups = (text: string): readonly string[] => (text === '' ? [] : text.split(':'));
  const [before, after] = [groups(head), groups(tail)];
  const gap = Array.from({ length: 8 - before.length - after.length }, () => '0');
  const all = [...before, ...gap, ...after];
  return all.map((group) => binary(Number.parseInt(group, 16), 16)).join('');
}

function binary(value: number, width: number): string {
  return value.toString(2).padStart(width, '0');
}
