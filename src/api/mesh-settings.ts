// Flags that all processes of a mesh share → typed settings. Values were checked by
// resolveFlags, so nothing here can fail but what needs two flags to judge.
import { parseDuration } from './duration.ts';
import type { FlagValues } from './flags.ts';
import { parseSize } from '../lib/quantity.ts';
import type { MeshSettings, MtlsMode, PolicyMode } from './settings.ts';

export type * from './flag-table.ts';
export type * from './flags.ts';
export type * from './settings.ts';

/** Typed look-ups by flag name; `undefined` where the flag is unset. */
export type FlagReader = {
  readonly text: (name: string) => string | undefined;
  readonly texts: (name: string) => readonly string[];
  readonly isOn: (name: string) => boolean;
  /** A count or a port. */
  readonly count: (name: string) => number | undefined;
  readonly ms: (name: string) => number | undefined;
  readonly bytes: (name: string) => number | undefined;
};

export function readFlags(values: FlagValues): FlagReader {
  const text = (name: string): string | undefined => values.get(name)?.[0];
  const read = <T>(name: string, parse: (text: string) => T): T | undefined => {
    const found = text(name);
    return found === undefined ? undefined : parse(found);
  };
  return {
    text,
    texts: (name) => values.get(name) ?? [],
    isOn: (name) => text(name) === 'true' || text(name) === '1',
    count: (name) => read(name, Number),
    ms: (name) => read(name, parseDuration),
    bytes: (name) => read(name, parseSize),
  };
}

/** The settings that decide what the mesh looks like; the same flags give the same on each node. */
export function meshSettingsOf(values: FlagValues): MeshSettings {
  const flags = readFlags(values);
  const clusterDomain = hostnameOf(flags.text('cluster-domain') ?? 'cluster.local');
  const policy = flags.isOn('acl') ? 'enforce' : flags.text('policy');
  const domains = flags.texts('mesh-domain').map(hostnameOf);
  return {
    meshNamespace: flags.text('mesh-namespace') ?? 'weft-system',
    meshDomains: domains.length > 0 ? [...new Set(domains)] : ['mesh'],
    clusterDomain,
    watchNamespaces: flags.texts('watch-namespace'),
    ignoreNamespaces: flags.texts('ignore-namespace'),
    adopt: flags.text('adopt') === 'labelled' ? 'labelled' : 'all',
    policy: policyOf(policy),
    mtls: mtlsOf(flags.text('mtls')),
    // In SPIFFE ids it is lower case.
    trustDomain: hostnameOf(flags.text('trust-domain') ?? clusterDomain),
  };
}

/** Lower case, without leading and trailing dots, as names are compared. */
function hostnameOf(text: string): string {
  return text.toLowerCase().replace(/^\.+|\.+$/g, '');
}

function policyOf(text: string | undefined): PolicyMode {
  return text === 'enforce' || text === 'audit' ? text : 'off';
}

function mtlsOf(text: string | undefined): MtlsMode {
  return text === 'off' || text === 'strict' ? text : 'permissive';
}
