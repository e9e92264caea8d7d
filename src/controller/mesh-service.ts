// What Service `weft-http` should be: a pure function of the ports that the mesh wants, of the
// Service as it is, and of how long ports have gone unused. The allocation itself is `topology`'s
// (allocatePorts); here a port also outlives its last user, so that listeners do not flap and
// clients that cached a name get an answer (contract §2: 10 minutes).
import type { MeshSettings, Problem, Service } from '../api/index.ts';
import type { ListenerSpec } from '../snapshot/index.ts';
import { allocatePorts, httpServiceName } from '../topology/index.ts';
import type { WantedPort } from '../topology/index.ts';
import { listAt, textAt, valueAt } from './raw-object.ts';

/** Service port → monotonic ms since when no service wants it. */
export type UnusedPorts = ReadonlyMap<number, number>;

export type MeshServiceInput = {
  readonly wanted: readonly WantedPort[];
  /** The Service as it is, or as it last was when it is gone: ports come back as they were. */
  readonly existing: Service | undefined;
  readonly unused: UnusedPorts;
  readonly nowMs: number;
};

export type DesiredMeshService = {
  /** Sorted by service port. Empty: leave the Service as it is; one without ports is invalid. */
  readonly ports: readonly ListenerSpec[];
  readonly unused: UnusedPorts;
  /** When the next unused port may go; `undefined` = none waits. */
  readonly againAfterMs: number | undefined;
  readonly problems: readonly Problem[];
};

/** How long a port outlives its last user (contract §2). */
export const unusedKeptMs = 10 * 60_000;

export function desiredMeshService(input: MeshServiceInput): DesiredMeshService {
  const unused = unusedPorts(input);
  const kept = [...unused].filter(([, sinceMs]) => input.nowMs - sinceMs < unusedKeptMs);
  const keptPorts = kept.map(([port]) => ({ port, namespace: '', service: '' }));
  const together = allocatePorts([...input.wanted, ...keptPorts], input.existing);
  // A port in use is worth more than one that only waits for its end.
  const isFull = together.problems.length > 0 && kept.length > 0;
  const allocated = isFull ? allocatePorts(input.wanted, input.existing) : together;
  const ends = kept.map(([, sinceMs]) => sinceMs + unusedKeptMs - input.nowMs);
  return {
    ports: allocated.value,
    unused: isFull ? new Map() : new Map(kept),
    againAfterMs: isFull || ends.length === 0 ? undefined : Math.min(...ends),
    problems: allocated.problems,
  };
}

/** Our ports of the Service that nobody wants, with the time since when, as far as it is known. */
function unusedPorts({ wanted, existing, unused, nowMs }: MeshServiceInput): UnusedPorts {
  const wishes = new Set(wanted.map(({ port }) => port));
  const known = new Map<number, number>();
  for (const { port, name, targetPort } of existing?.ports ?? []) {
    if (wishes.has(port) || name !== portName(port)) continue;
    // Where the allocator would move it, it is a foreign edit and no port of ours.
    const [given] = allocatePorts([{ port, namespace: '', service: '' }], existing).value;
    if (given?.targetPort === targetPort) known.set(port, unused.get(port) ?? nowMs);
  }
  return known;
}

/** A Service as it is applied. */
export type Manifest = {
  readonly apiVersion: 'v1';
  readonly kind: 'Service';
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly labels: Readonly<Record<string, string>>;
    /** Set: valid only for this version of the object. */
    readonly resourceVersion?: string;
  };
  readonly spec: Readonly<Record<string, unknown>>;
};

/** The object for server-side apply: exactly the fields that are ours. */
export function meshServiceManifest(
  settings: MeshSettings,
  ports: readonly ListenerSpec[],
): Manifest {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: httpServiceName,
      namespace: settings.meshNamespace,
      labels: { 'app.kubernetes.io/name': 'weft', 'weft.dev/component': 'mesh-service' },
    },
    spec: {
      type: 'ClusterIP',
      internalTrafficPolicy: 'Local',
      ipFamilyPolicy: 'PreferDualStack',
      selector: { 'app.kubernetes.io/name': 'weft', 'app.kubernetes.io/component': 'proxy' },
      ports: ports.map(({ servicePort, targetPort }) => ({
        name: portName(servicePort),
        port: servicePort,
        protocol: 'TCP',
        targetPort,
      })),
    },
  };
}

function portName(port: number): string {
  return `http-${port}`;
}

/** Whether the fields that are ours are as the manifest says, and no port was added. */
export function isAsDesired(actual: unknown, manifest: unknown): boolean {
  return fingerprint(actual) === fingerprint(manifest);
}

/** The fields that are ours, in one order. */
function fingerprint(object: unknown): string {
  const ports = listAt(object, 'spec', 'ports').map((port) => [
    valueAt(port, 'port'),
    textAt(port, 'protocol') ?? 'TCP',
    valueAt(port, 'targetPort'),
    textAt(port, 'name'),
  ]);
  return JSON.stringify([
    textAt(object, 'metadata', 'labels', 'app.kubernetes.io/name'),
    textAt(object, 'metadata', 'labels', 'weft.dev/component'),
    textAt(object, 'spec', 'type'),
    textAt(object, 'spec', 'internalTrafficPolicy'),
    textAt(object, 'spec', 'ipFamilyPolicy'),
    sortedTexts(Object.entries(valueAt(object, 'spec', 'selector') ?? {})),
    sortedTexts(ports),
  ]);
}

function sortedTexts(items: readonly unknown[]): readonly string[] {
  return items.map((item) => JSON.stringify(item)).sort();
}

/** A step of a JSON patch (RFC 6902). */
export type PatchStep = {
  readonly op: 'test' | 'remove' | 'replace';
  readonly path: string;
  readonly value?: unknown;
};

/**
 * Server-side apply removes only what we applied before: ports that somebody else added have to be
 * taken out by name. Valid only for the very version that was read.
 */
export function foreignPortsPatch(actual: unknown, manifest: unknown): readonly PatchStep[] {
  const ours = new Set(listAt(manifest, 'spec', 'ports').map(portKey));
  const steps: PatchStep[] = [];
  const ports = listAt(actual, 'spec', 'ports');
  for (let index = ports.length - 1; index >= 0; index -= 1) {
    if (ours.has(portKey(ports[index]))) continue;
    steps.push({ op: 'remove', path: `/spec/ports/${index}` });
  }
  return steps.length === 0 ? [] : [sameVersion(actual), ...steps];
}

/** For a Service so bent that an apply is refused (a foreign port under a name of ours). */
export function allPortsPatch(actual: unknown, manifest: unknown): readonly PatchStep[] {
  const value = listAt(manifest, 'spec', 'ports');
  return [sameVersion(actual), { op: 'replace', path: '/spec/ports', value }];
}

function sameVersion(actual: unknown): PatchStep {
  const value = textAt(actual, 'metadata', 'resourceVersion') ?? '';
  return { op: 'test', path: '/metadata/resourceVersion', value };
}

/** What server-side apply tells ports apart by. */
function portKey(port: unknown): string {
  return `${textAt(port, 'protocol') ?? 'TCP'}/${String(valueAt(port, 'port'))}`;
}
