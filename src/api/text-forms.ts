// What the text of a flag has to look like, so that a typo ends the program with one line instead
// of a listener that never opens or a name that never resolves. Syntax only: whether an address is
// this machine's, or a namespace exists, is found out where it is used.
import { addressFamily, normaliseAddress } from '../lib/address.ts';

export type TextForm = 'address' | 'hostname' | 'namespace' | 'trusted-source';

/** RFC 1123 label, in either case: names are compared in lower case. */
const label = '[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?';
const labelPattern = new RegExp(`^${label}$`);
const hostnamePattern = new RegExp(`^${label}(?:\\.${label})*\\.?$`, 'i');
/** A service account is named like an object: dots are allowed in it. */
const principalPattern = new RegExp(`^${label}/${label}(?:\\.${label})*$`);
const hostnameCharsMax = 253;

/** What is expected, when `text` is not that. */
export function complaintAboutText(form: TextForm, text: string): string | undefined {
  switch (form) {
    case 'address':
      return normaliseAddress(text) === undefined ? 'an IP address' : undefined;
    case 'hostname':
      return text.length <= hostnameCharsMax && hostnamePattern.test(text)
        ? undefined
        : 'a DNS name';
    case 'namespace':
      return labelPattern.test(text) ? undefined : 'the name of a namespace';
    case 'trusted-source':
      return principalPattern.test(text) || isCidr(text)
        ? undefined
        : 'namespace/serviceaccount or a CIDR such as 10.0.0.0/8';
  }
}

function isCidr(text: string): boolean {
  const [address = '', bits = '', ...rest] = text.split('/');
  const normalised = normaliseAddress(address);
  if (normalised === undefined || rest.length > 0 || !/^[0-9]{1,3}$/.test(bits)) return false;
  // An IPv4-mapped address is counted in the bits of the family that it is written in.
  const isIpv6 = address.includes(':') || addressFamily(normalised) === 'IPv6';
  return Number(bits) <= (isIpv6 ? 128 : 32);
}
