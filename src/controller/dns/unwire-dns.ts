// Takes every trace of the mesh out of the configuration of the cluster's DNS, to the byte,
// wherever it stands: what `weft uninstall` calls once no controller is left to put it back. What
// cannot be taken out without touching somebody else's lines is left and told.
import type { MeshSettings } from '../../api/index.ts';
import { hasMeshBlocks, removeFromCorefile, removeStubDomains } from '../../dns/index.ts';
import { kubeReason } from '../../kube/index.ts';
import type { Connection } from '../../kube/index.ts';
import { customKey, stubKey } from './plan-dns.ts';
import type { DnsChange } from './plan-dns.ts';
import { configMapPath, dnsConfigMaps, readConfigMap } from './read-dns.ts';
import type { ConfigMapFacts, ConfigMapId } from './read-dns.ts';
import { noteAnnotation, noteOf } from './stub-note.ts';
import { madeByUs, writeChange } from './write-place.ts';

export type DnsCleaning = {
  readonly connection: Connection;
  readonly settings: MeshSettings;
};

/** Lines of ours in one key of a ConfigMap. */
export type DnsTrace = {
  readonly namespace: string;
  readonly configMap: string;
  readonly key: string;
  /** Why it is not taken out; `undefined`: it can be, or was. */
  readonly leftBecause: string | undefined;
};

type Present = Extract<ConfigMapFacts, { readonly kind: 'present' }>;

/** How one ConfigMap is cleaned. */
type Cleaning = {
  readonly trace: DnsTrace;
  readonly apply: (() => Promise<void>) | undefined;
};

/** Somebody else writes now and then, not all the time. */
const attemptsMax = 5;

/** What there is; changes nothing. */
export async function findDnsTraces(options: DnsCleaning): Promise<readonly DnsTrace[]> {
  const cleanings = await Promise.all(places.map((place) => cleaningOf(options, place)));
  return cleanings.flat().map(({ trace }) => trace);
}

/** Takes all of it out; throws KubeFailure when the API server does not let us. */
export async function unwireDns(options: DnsCleaning): Promise<readonly DnsTrace[]> {
  const traces: DnsTrace[] = [];
  for (const place of places) traces.push(...(await cleanPlace(options, place)));
  return traces;
}

type Place = { readonly id: ConfigMapId; readonly key: string };

const places: readonly Place[] = [
  { id: dnsConfigMaps.coredns, key: 'Corefile' },
  { id: dnsConfigMaps.rke2, key: 'Corefile' },
  { id: dnsConfigMaps.custom, key: customKey },
  { id: dnsConfigMaps.nodeLocal, key: 'Corefile' },
  { id: dnsConfigMaps.kubeDns, key: stubKey },
];

async function cleanPlace(options: DnsCleaning, place: Place): Promise<readonly DnsTrace[]> {
  for (let attempt = 1; ; attempt += 1) {
    const cleanings = await cleaningOf(options, place);
    try {
      for (const { apply } of cleanings) await apply?.();
      return cleanings.map(({ trace }) => trace);
    } catch (error) {
      if (kubeReason(error) !== 'Conflict' || attempt === attemptsMax) throw error;
    }
  }
}

async function cleaningOf(options: DnsCleaning, place: Place): Promise<readonly Cleaning[]> {
  const facts = await readConfigMap(options.connection, place.id);
  if (facts.kind === 'absent') return [];
  if (facts.kind === 'forbidden') {
    return [{ trace: traceOf(place, `it may not be read: ${facts.why}`), apply: undefined }];
  }
  return place.key === stubKey
    ? cleanStubs(options, place, facts)
    : cleanCorefile(options, place, facts);
}

function cleanCorefile(options: DnsCleaning, place: Place, facts: Present): readonly Cleaning[] {
  const before = facts.data.get(place.key) ?? '';
  if (!hasMeshBlocks(before)) return [];
  const { meshDomains: domains, clusterDomain } = options.settings;
  const { text, obstacles } = removeFromCorefile(before, { domains, clusterDomain });
  if (text === before) {
    const why = obstacles.map(({ message }) => message).join('; ');
    return [{ trace: traceOf(place, why), apply: undefined }];
  }
  const isOurKey = place.key === customKey && text === '';
  const change = {
    data: { [place.key]: isOurKey ? null : text },
    resourceVersion: facts.resourceVersion,
  };
  return [write(options, place, change)];
}

function cleanStubs(options: DnsCleaning, place: Place, facts: Present): readonly Cleaning[] {
  const annotation = facts.annotations.get(noteAnnotation);
  if (annotation === undefined) return [];
  const text = removeStubDomains(facts.data.get(stubKey), noteOf(annotation));
  const isMadeByUs = facts.labels.get(madeByUs.key) === madeByUs.value;
  const hasOthers = [...facts.data.keys()].some((key) => key !== stubKey);
  if (isMadeByUs && text === undefined && !hasOthers) return [removal(options, place, facts)];
  const change = {
    data: { [stubKey]: text ?? null },
    annotations: { [noteAnnotation]: null },
    resourceVersion: facts.resourceVersion,
  };
  return [write(options, place, change)];
}

function traceOf({ id, key }: Place, leftBecause: string | undefined): DnsTrace {
  return { namespace: id.namespace, configMap: id.name, key, leftBecause };
}

function write({ connection }: DnsCleaning, place: Place, change: DnsChange): Cleaning {
  return {
    trace: traceOf(place, undefined),
    apply: () => writeChange(connection, place.id, change),
  };
}

/** The ConfigMap did not exist before us. */
function removal({ connection }: DnsCleaning, place: Place, facts: Present): Cleaning {
  const preconditions = { resourceVersion: facts.resourceVersion };
  return {
    trace: traceOf(place, undefined),
    apply: async () => {
      await connection.remove(configMapPath(place.id), { preconditions });
    },
  };
}
