// Whose `x-forwarded-*` fields are believed enough to be passed on (`--trusted-sources`): workloads
// by identity, addresses by range. They never feed a decision of ours, trusted or not (A8).
import { BlockList, isIPv6 } from 'node:net';
import type { Source } from '../route/index.ts';

export class TrustedSources {
  readonly #principals = new Set<string>();
  readonly #ranges = new BlockList();
  readonly #isEmpty: boolean;

  /** Each is `namespace/serviceaccount` or a CIDR; the settings parser has checked the syntax. */
  constructor(sources: readonly string[]) {
    this.#isEmpty = sources.length === 0;
    for (const one of sources) this.#add(one);
  }

  has(source: Source, address: string): boolean {
    if (this.#isEmpty) return false;
    if (source.kind === 'workload' && this.#principals.has(source.principal)) return true;
    return this.#ranges.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
  }

  #add(one: string): void {
    const cidr = /^([0-9a-fA-F.:]+)\/(\d{1,3})$/.exec(one);
    const address = cidr?.[1];
    if (address === undefined || !/[.:]/.test(address)) this.#principals.add(one);
    else this.#ranges.addSubnet(address, Number(cidr?.[2]), isIPv6(address) ? 'ipv6' : 'ipv4');
  }
}
