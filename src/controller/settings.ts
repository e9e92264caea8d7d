// The flags of `weft controller` → typed settings, resolved once at the edge. Their names, values
// and environment twins are in the flag table of `api`.
import { meshSettingsOf, readFlags } from '../api/index.ts';
import type { FlagValues, MeshSettings } from '../api/index.ts';

export type ControllerSettings = {
  readonly mesh: MeshSettings;
  /** Name of this replica's pod; `undefined` outside a cluster. */
  readonly podName: string | undefined;
  /** Addresses of the admin port; empty = every address. */
  readonly bindAddresses: readonly string[];
  readonly adminPort: number;
  /** Where the proxies answer DNS: what Service `weft-dns` points at. */
  readonly dnsPort: number;
  readonly debugFrom: 'loopback' | 'any';
};

export function controllerSettingsOf(values: FlagValues): ControllerSettings {
  const flags = readFlags(values);
  return {
    mesh: meshSettingsOf(values),
    podName: flags.text('pod-name'),
    bindAddresses: flags.texts('bind-address'),
    adminPort: flags.count('admin-port') ?? 15_020,
    dnsPort: flags.count('dns-port') ?? 15_053,
    debugFrom: flags.text('debug-from') === 'any' ? 'any' : 'loopback',
  };
}
