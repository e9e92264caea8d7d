// Keeps the mesh Services and ConfigMap `weft-addresses` as they should be: watches them as they
// are and, on the leader alone, writes what differs. Which port is whose is decided by
// allocatePorts of `topology`, what that makes of an object in mesh-service.ts; nothing here is.
// Invariants: the allocation is read from the Services when leadership begins – live, not from a
// watch that may lag – and from then on remembered, so that edits and deletions by others are put
// right instead of believed; each write names the version that it was decided on, so that a leader
// that was deposed without noticing it fails instead of fighting.
import type { MeshSettings, Problem } from '../api/index.ts';
import { parsers } from '../api/index.ts';
import { kubeReason, resourcePath, startReflector, startWorkQueue } from '../kube/index.ts';
import type { Connection, Query, Reflector, WorkQueue } from '../kube/index.ts';
import type { Runtime } from '../lib/clock.ts';
import type { Log } from '../telemetry/index.ts';
import {
  allocatePorts,
  givenPortsOf,
  httpServiceName,
  portServiceNames,
} from '../topology/index.ts';
import type {
  Allocation,
  AllocationInput,
  GivenPort,
  GivenPorts,
  PortWishes,
} from '../topology/index.ts';
import {
  addressesManifest,
  addressesName,
  clusterIpsOf,
  isOurs,
  meshServiceManifests,
  readAddresses,
  type Manifest,
} from './mesh-service.ts';
import { MeshWriter } from './mesh-writer.ts';
import { RawMirror } from './raw-mirror.ts';
import { listAt, textAt } from './raw-object.ts';

export type KeepOptions = {
  readonly connection: Connection;
  readonly settings: MeshSettings;
  /** Where the proxies answer DNS. */
  readonly dnsPort: number;
  readonly runtime: Runtime;
  readonly log: Log;
  readonly isLeading: () => boolean;
  /** `problems` says something else than before. */
  readonly onProblems: () => void;
};

export type MeshServicesKeeper = {
  /** What the mesh wants now; call it again whenever that may have changed. */
  readonly want: (wishes: PortWishes) => void;
  /** Look again: leadership was gained. */
  readonly look: () => void;
  readonly isSynced: () => boolean;
  readonly problems: () => readonly Problem[];
  readonly stop: () => Promise<void>;
};

export function keepMeshServices(options: KeepOptions): MeshServicesKeeper {
  const keeper = new Keeper(options);
  const start = (plural: string, selector: Query, mirror: RawMirror): Reflector =>
    startReflector<unknown>({
      connection: options.connection,
      runtime: options.runtime,
      log: options.log,
      resource: { group: '', plural, versions: ['v1'] },
      // Its path, because a Role allows no more than one namespace.
      namespace: options.settings.meshNamespace,
      selector,
      // The object as it is: what of it is ours is compared field by field.
      parse: (input) => ({ value: input, problems: [] }),
      sink: mirror.sink(),
      onSynced: () => keeper.plan(),
    });
  const reflectors = [
    start('services', {}, keeper.services),
    start('configmaps', { fieldSelector: `metadata.name=${addressesName}` }, keeper.configMaps),
  ];
  const isSynced = (): boolean => reflectors.every((reflector) => reflector.status().isSynced);
  keeper.begin(isSynced);
  return {
    want: (wishes) => keeper.want(wishes),
    look: () => keeper.look(),
    isSynced,
    problems: () => keeper.problems,
    stop: async () => {
      await Promise.all([...reflectors.map((reflector) => reflector.stop()), keeper.stop()]);
    },
  };
}

/** Key of the queue that is no object: what should be is decided anew. */
const planKey = 'plan';
/** Our view is older than the server's: the watch brings the newer one, most often before this. */
const conflictRestMs = 500;

type Again = { readonly againAfterMs: number } | undefined;

class Keeper {
  problems: readonly Problem[] = [];
  readonly services: RawMirror;
  readonly configMaps: RawMirror;
  readonly #options: KeepOptions;
  readonly #queue: WorkQueue;
  readonly #writer: MeshWriter;
  #isSynced = (): boolean => false;
  #wishes: PortWishes | undefined;
  #wishesText = '';
  /** How often leadership began. */
  #begun = 0;
  /** What was given, as the leader knows it; `undefined` = to be read from the Services. */
  #given: GivenPorts | undefined;
  /** What the leader allocated last, and for which wishes. */
  #settled: { readonly wishes: PortWishes; readonly allocation: Allocation } | undefined;
  /** ClusterIPs of what should be, also of what is gone at the moment. */
  #addresses = new Map<string, readonly string[]>();
  /** Name → what should be; `undefined` = not decided since leadership began. */
  #desired: ReadonlyMap<string, Manifest> | undefined;

  constructor(options: KeepOptions) {
    this.#options = options;
    this.services = new RawMirror({
      seen: (name, object) => this.#noteAddress(name, object),
      changed: () => this.plan(),
    });
    this.configMaps = new RawMirror({ seen: () => undefined, changed: () => this.plan() });
    this.#writer = new MeshWriter({ ...options, mirrorOf: (kind) => this.#mirrorOf(kind) });
    this.#queue = startWorkQueue({
      runtime: options.runtime,
      log: options.log,
      concurrency: 1,
      reconcile: (key) => (key === planKey ? this.#plan() : this.#reconcile(key)),
    });
  }

  begin(isSynced: () => boolean): void {
    this.#isSynced = isSynced;
    this.plan();
  }

  want(wishes: PortWishes): void {
    // Our own writes change Services, and with them the identity of wishes that stay the same.
    const text = JSON.stringify(wishes);
    if (this.#wishesText === text) return;
    this.#wishesText = text;
    this.#wishes = wishes;
    this.plan();
  }

  look(): void {
    this.#begun += 1;
    this.#given = undefined;
    this.#desired = undefined;
    this.plan();
  }

  plan(): void {
    // The first word of a mirror may come while this is made.
    if (this.#isSynced()) this.#queue.add(planKey);
  }

  stop(): Promise<void> {
    return this.#queue.stop();
  }

  #mirrorOf(kind: Manifest['kind']): RawMirror {
    return kind === 'Service' ? this.services : this.configMaps;
  }

  /** Followers decide as well, by what the Services say: both replicas tell the problems. */
  async #plan(): Promise<Again> {
    if (this.#wishes === undefined) return undefined;
    const isLeading = this.#options.isLeading();
    const isUnread = isLeading && this.#given === undefined;
    if (isUnread && !(await this.#readGiven())) return { againAfterMs: 0 };
    const nowMs = this.#nowMs();
    const given = (isLeading ? this.#given : undefined) ?? givenBy(this.services.all().values());
    const allocation = this.#allocate({ wishes: this.#wishes, given, nowMs });
    const told = JSON.stringify(this.problems);
    this.problems = allocation.problems;
    if (JSON.stringify(this.problems) !== told) this.#options.onProblems();
    if (!isLeading) return undefined;
    this.#given = allocation.given;
    this.#settled = { wishes: this.#wishes, allocation };
    this.#decide(allocation.given);
    const { nextChangeMs } = allocation;
    if (nextChangeMs === undefined) return undefined;
    return { againAfterMs: Math.max(1_000, nextChangeMs - nowMs) };
  }

  /** Most plans are due to an edit or to a write of ours: they find what was allocated before. */
  #allocate(input: AllocationInput): Allocation {
    const { wishes, allocation } = this.#settled ?? {};
    const isSame = wishes === input.wishes && allocation?.given === input.given;
    const isDue = input.nowMs >= (allocation?.nextChangeMs ?? Number.POSITIVE_INFINITY);
    return isSame && !isDue && allocation !== undefined ? allocation : allocatePorts(input);
  }

  /** Whole seconds, as they stand in the Services. */
  #nowMs(): number {
    return Math.floor(this.#options.runtime.clock.wallMs() / 1_000) * 1_000;
  }

  /** False when leadership began anew meanwhile: what was read may be older than its beginning. */
  async #readGiven(): Promise<boolean> {
    const begun = this.#begun;
    const namespace = this.#options.settings.meshNamespace;
    const path = resourcePath({ group: '', version: 'v1', plural: 'services', namespace });
    const items = listAt(await this.#options.connection.get(path), 'items');
    if (begun !== this.#begun) return false;
    const remembered = readAddresses(this.configMaps.get(addressesName));
    this.#addresses = new Map([...remembered, ...this.#addresses]);
    for (const item of items) {
      this.services.see(item);
      this.#noteAddress(textAt(item, 'metadata', 'name') ?? '', item);
    }
    this.#given = givenBy(items);
    return true;
  }

  /** At once: somebody may delete the Service before the next plan. */
  #noteAddress(name: string, service: unknown): void {
    const ips = clusterIpsOf(service);
    if (ips.length > 0 && isOurs(service)) this.#addresses.set(name, ips);
  }

  #decide(given: GivenPorts): void {
    const { settings, dnsPort } = this.#options;
    const manifests = new Map(meshServiceManifests({ settings, dnsPort, given }));
    const addresses = this.#addressesOf([...manifests.keys(), httpServiceName]);
    this.#addresses = addresses;
    if (addresses.size > 0) manifests.set(addressesName, addressesManifest(settings, addresses));
    this.#desired = manifests;
    for (const name of manifests.keys()) this.#queue.add(name);
    for (const [name, object] of this.services.all()) {
      if (!manifests.has(name) && isOrphan(object)) this.#queue.add(name);
    }
  }

  /** Sorted by name; those of other names are forgotten. */
  #addressesOf(names: readonly string[]): Map<string, readonly string[]> {
    const addresses = new Map<string, readonly string[]>();
    for (const name of [...new Set(names)].sort()) {
      const known = this.#addresses.get(name);
      if (known !== undefined) addresses.set(name, known);
    }
    return addresses;
  }

  async #reconcile(name: string): Promise<Again> {
    if (!this.#options.isLeading() || this.#desired === undefined) return undefined;
    const manifest = this.#desired.get(name);
    try {
      if (manifest !== undefined) {
        return await this.#writer.write(manifest, this.#addresses.get(name) ?? []);
      }
      const actual = this.services.get(name);
      if (isOrphan(actual)) await this.#writer.remove(actual);
      return undefined;
    } catch (error) {
      if (kubeReason(error) === 'Conflict') return { againAfterMs: conflictRestMs };
      throw error;
    }
  }
}

/** `weft-http` stays even when it has no ports any more: its address is in many caches. */
function isOrphan(object: unknown): boolean {
  return isOurs(object) && textAt(object, 'metadata', 'name') !== httpServiceName;
}

function givenBy(objects: Iterable<unknown>): GivenPorts {
  const byName = new Map<string, readonly GivenPort[]>();
  for (const object of objects) {
    const service = parsers.Service(object).value;
    if (service !== undefined) byName.set(service.meta.name, givenPortsOf(service));
  }
  return new Map(
    portServiceNames().flatMap((name) => {
      const ports = byName.get(name);
      return ports === undefined ? [] : [[name, ports] as const];
    }),
  );
}
