// Values → what the manifests are made of. Two makers of the same shape exist: this one from typed
// values, and that of the chart, whose leaves are template expressions. The objects themselves are
// written once, over this shape.
import type { Json, JsonMap } from './json.ts';
import { environmentEntry, type Origin } from './manifest.ts';
import type { InstallValues } from './values.ts';

export type PodFacts = {
  /** Settings as environment entries; flags of a process and their variables are twins. */
  readonly settings: readonly Json[];
  readonly resources: Json;
  readonly tolerations: Json;
  readonly nodeSelector: Json;
  readonly priorityClassName: Json;
  readonly annotations: Json;
  readonly labels: Json;
};

export type InstallFacts = {
  readonly origin: Origin;
  readonly image: string;
  readonly pullPolicy: Json;
  readonly pullSecrets: Json;
  readonly proxy: PodFacts & { readonly maxSurge: Json; readonly graceSeconds: Json };
  readonly controller: PodFacts & { readonly replicas: Json };
  readonly monitorLabels: Json;
  readonly ruleLabels: Json;
  readonly dashboardLabels: Json;
};

/** A setting that has a value of its own: the flag that it sets, and where it stands. */
export type SettingRow = {
  readonly flag: string;
  readonly path: readonly [string, string];
  /** How the text of the variable is made of the value. */
  readonly form: 'text' | 'list' | 'count' | 'seconds';
};

/** Read by both processes. */
export const meshRows: readonly SettingRow[] = [
  { flag: 'mesh-domain', path: ['mesh', 'domains'], form: 'list' },
  { flag: 'cluster-domain', path: ['mesh', 'clusterDomain'], form: 'text' },
  { flag: 'policy', path: ['mesh', 'policy'], form: 'text' },
  { flag: 'mtls', path: ['mesh', 'mtls'], form: 'text' },
  { flag: 'trust-domain', path: ['mesh', 'trustDomain'], form: 'text' },
  { flag: 'adopt', path: ['mesh', 'adopt'], form: 'text' },
  { flag: 'watch-namespace', path: ['mesh', 'watchNamespaces'], form: 'list' },
  { flag: 'ignore-namespace', path: ['mesh', 'ignoreNamespaces'], form: 'list' },
  { flag: 'log-level', path: ['mesh', 'logLevel'], form: 'text' },
];
/** 0 workers is "as many as fit", which is what a proxy does that is told nothing. */
export const proxyRows: readonly SettingRow[] = [
  { flag: 'workers', path: ['proxy', 'workers'], form: 'count' },
  { flag: 'drain-timeout', path: ['proxy', 'drainTimeoutSeconds'], form: 'seconds' },
];

/** Between the drain's end and SIGKILL: the time to close what is left. */
export const graceMarginSeconds = 10;

export function variableOf(flag: string): string {
  return `WEFT_${flag.toUpperCase().replaceAll('-', '_')}`;
}

export function factsOf(values: InstallValues, origin: Origin): InstallFacts {
  const { image, proxy, controller, monitoring } = values;
  const shared = meshRows.flatMap((row) => entryOf(values, row));
  const own = proxyRows.flatMap((row) => entryOf(values, row));
  return {
    origin,
    image: imageOf(values, origin),
    pullPolicy: image.pullPolicy,
    pullSecrets: image.pullSecrets,
    proxy: {
      ...podFacts(proxy),
      settings: [...shared, ...own, ...flagEntries(proxy.flags)],
      maxSurge: proxy.maxSurge,
      graceSeconds: proxy.drainTimeoutSeconds + graceMarginSeconds,
    },
    controller: {
      ...podFacts(controller),
      settings: [...shared, ...flagEntries(controller.flags)],
      replicas: controller.replicas,
    },
    monitorLabels: monitoring.podMonitor.labels,
    ruleLabels: monitoring.prometheusRule.labels,
    dashboardLabels: monitoring.grafanaDashboard.labels,
  };
}

function imageOf({ image }: InstallValues, { version }: Origin): string {
  if (image.digest !== '') return `${image.repository}@${image.digest}`;
  return `${image.repository}:${image.tag === '' ? version : image.tag}`;
}

type PodValues = {
  readonly resources: JsonMap;
  readonly tolerations: readonly JsonMap[];
  readonly nodeSelector: JsonMap;
  readonly priorityClassName: string;
  readonly podAnnotations: JsonMap;
  readonly podLabels: JsonMap;
};

function podFacts(values: PodValues): Omit<PodFacts, 'settings'> {
  return {
    resources: values.resources,
    tolerations: values.tolerations,
    nodeSelector: values.nodeSelector,
    priorityClassName: values.priorityClassName,
    annotations: values.podAnnotations,
    labels: values.podLabels,
  };
}

/** No entry for what is empty: the process has the default. */
function entryOf(values: InstallValues, { flag, path, form }: SettingRow): readonly JsonMap[] {
  const sections: Readonly<Record<string, Readonly<Record<string, unknown>>>> = values;
  const value = sections[path[0]]?.[path[1]];
  const text = Array.isArray(value) ? value.join(',') : String(value);
  if (text === '' || text === '0') return [];
  return [environmentEntry(variableOf(flag), form === 'seconds' ? `${text}s` : text)];
}

/** Sorted, as the chart's `range` does. */
function flagEntries(flags: JsonMap): readonly JsonMap[] {
  return Object.entries(flags)
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([flag, value]) => {
      const text = Array.isArray(value) ? value.join(',') : String(value);
      return environmentEntry(variableOf(flag), text);
    });
}
