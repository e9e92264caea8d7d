// What each setting of a service costs alone while it has nothing to do: one proxy with a service
// for each of them, two without any and one with all, which differ in nothing else – so that no two
// runs of the program are compared – asked in turns, each round in the opposite order of the one
// before. What many services have in common is compiled for all of them here, so that the service
// without settings is a little dearer than in a mesh without any: the sum says less than
// `features`.
import { hostOf, servedPods, sources, startBenchMesh, startWeft } from './dataplane-mesh.ts';
import type { RunningWeft } from './dataplane-mesh.ts';
import { median, tableLines } from './dataplane-rows.ts';
import { processTree, runLoad, type LoadResult } from './dataplane-tools.ts';

const work = { path: '/bytes/200', answerBytes: 200, connections: 64 };
/** One alone would never be hedged. */
export const podsOfServices = 2;
/** From here on, those that end in 2 left out: they are split. */
const firstService = 100;

/** Median of ratios, and between what the middle half of them lies. */
export type Spread = { readonly median: number; readonly low: number; readonly high: number };

export function spreadOf(ratios: readonly number[]): Spread {
  const sorted = [...ratios].sort((left, right) => left - right);
  const at = (share: number): number => sorted[Math.floor(share * sorted.length)] ?? NaN;
  return { median: median(ratios), low: at(0.25), high: at(0.75) };
}

export function spreadText({ median: middle, low, high }: Spread): string {
  return `${middle.toFixed(3)} (middle half ${low.toFixed(3)}–${high.toFixed(3)})`;
}

/** The same in every second round, the other way round in the others. */
export function inTurn<T>(values: readonly T[], round: number): readonly T[] {
  return round % 2 === 0 ? values : [...values].reverse();
}

export type Asked = { readonly service: number; readonly seconds: number };

export async function loadOf(
  tool: string,
  weft: RunningWeft,
  { service, seconds }: Asked,
): Promise<LoadResult> {
  const { address, port, child } = weft;
  const target = { address, port, host: hostOf(service) };
  const pids = processTree(child.pid);
  return runLoad(tool, { work, target, sources, pids, seconds, warmUpSeconds: 0.1 });
}

/** Nothing may have fired: every request was decided, split and answered as without settings. */
export async function judge(weft: RunningWeft, results: readonly LoadResult[]): Promise<void> {
  const failed = results.find(({ errors }) => errors > 0);
  if (failed !== undefined) throw new Error(`not all was answered: ${failed.firstError}`);
  const { bugs, denied } = await weft.counters();
  if (bugs + denied > 0) throw new Error(`${bugs} bugs, ${denied} denied`);
}

export type AlonePlan = {
  readonly directory: string;
  readonly tool: string;
  readonly settings: readonly (readonly [key: string, value: string])[];
  readonly starts: number;
  readonly rounds: number;
  readonly seconds: number;
  readonly warmUpSeconds: number;
};

type Candidate = {
  readonly name: string;
  readonly service: number;
  readonly annotations: Readonly<Record<string, string>>;
};

/** Lines of a table. */
export async function measureAlone(plan: AlonePlan): Promise<readonly string[]> {
  const candidates = candidatesOf(plan.settings);
  const ofServices = new Map(candidates.map((one) => [one.service, one.annotations]));
  const addresses = new Map(candidates.map((one, at) => [one.service, addressesOf(at)]));
  const services = 1 + Math.max(...candidates.map((one) => one.service));
  const size = { services, endpointsPerService: 1, addresses };
  const mesh = await startBenchMesh(plan.directory, size, { ofServices });
  const ratios = new Map<string, number[]>();
  try {
    for (let start = 0; start < plan.starts; start += 1) {
      await measureOnce(plan, { kubeconfig: mesh.kubeconfig, candidates, ratios });
    }
  } finally {
    await mesh.stop();
  }
  const rows = [...ratios].map(([name, of]) => [name, spreadText(spreadOf(of))]);
  return tableLines([['setting alone', 'CPU per request by that without'], ...rows]);
}

function candidatesOf(settings: AlonePlan['settings']): readonly Candidate[] {
  const annotations = (of: AlonePlan['settings']): Candidate['annotations'] =>
    Object.fromEntries(of.map(([key, value]) => [`weft.dev/${key}`, value]));
  const named = [
    { name: 'none', annotations: {} },
    { name: 'none again', annotations: {} },
    ...settings.map((one) => ({ name: one[0], annotations: annotations([one]) })),
    { name: 'all', annotations: annotations(settings) },
  ];
  let service = firstService;
  return named.map((one) => {
    service += (service + 1) % 10 === 2 ? 2 : 1;
    return { ...one, service };
  });
}

/** Behind those that others are measured with. */
function addressesOf(candidate: number): readonly string[] {
  const prefix = servedPods.first.slice(0, servedPods.first.lastIndexOf('.'));
  const first = servedPods.count + candidate * podsOfServices + 1;
  return Array.from({ length: podsOfServices }, (_, pod) => `${prefix}.${first + pod}`);
}

type Started = {
  readonly kubeconfig: string;
  readonly candidates: readonly Candidate[];
  /** By the first candidate; told by name. */
  readonly ratios: Map<string, number[]>;
};

async function measureOnce(
  { directory, tool, rounds, seconds, warmUpSeconds }: AlonePlan,
  { kubeconfig, candidates, ratios }: Started,
): Promise<void> {
  const [address, program] = ['127.90.0.21', 'dist/weft.js'];
  const [first] = candidates;
  if (first === undefined) return;
  const { service } = first;
  const weft = await startWeft({ kubeconfig, directory, address, program, service });
  const all: LoadResult[] = [];
  try {
    for (const one of [...candidates, ...candidates]) {
      const ofEach = warmUpSeconds / candidates.length;
      await loadOf(tool, weft, { service: one.service, seconds: Math.max(0.3, ofEach) });
    }
    for (let round = 0; round < rounds; round += 1) {
      const cpus = new Map<string, number>();
      for (const one of inTurn(candidates, round)) {
        const result = await loadOf(tool, weft, { service: one.service, seconds });
        all.push(result);
        cpus.set(one.name, result.cpuUs);
      }
      const base = cpus.get(first.name) ?? NaN;
      for (const { name } of candidates.slice(1)) {
        const of = ratios.get(name) ?? [];
        of.push((cpus.get(name) ?? NaN) / base);
        ratios.set(name, of);
      }
    }
    await judge(weft, all);
  } finally {
    await weft.child.stop();
  }
}
