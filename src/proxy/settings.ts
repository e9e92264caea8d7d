// The flags of `weft proxy` → typed settings, resolved once at the edge. Where a flag is unset, the
// machine decides (workers, memory budget): its facts come in as an argument.
import {
  meshSettingsOf,
  readFlags,
  type FlagComplaint,
  type FlagReader,
  type FlagValues,
  type MeshSettings,
} from '../api/index.ts';
import type { DataplaneLimits } from '../dataplane/index.ts';
import { normaliseAddress } from '../lib/address.ts';
import { parseAccessLogMode, slotWorkersMax } from '../telemetry/index.ts';

/** What `main` knows about the machine. */
export type MachineFacts = {
  /** CPUs granted: the cgroup's quota where there is one, else the cores. */
  readonly cpus: number;
  /** The cgroup's memory limit in bytes; `undefined` = none. */
  readonly memoryLimitBytes: number | undefined;
  /** Node ≥ 22.12 on Linux: sockets may share a port by SO_REUSEPORT. */
  readonly hasReusePort: boolean;
};

export type ProxySettings = {
  readonly mesh: MeshSettings;
  readonly nodeName: string;
  /** Empty = every address of both families. */
  readonly bindAddresses: readonly string[];
  readonly adminPort: number;
  readonly debugFrom: 'loopback' | 'any';
  readonly testHooks: boolean;
  readonly dnsPort: number;
  readonly workers: number;
  /** What was asked for, when it is more than there can be. */
  readonly workersRefused: number | undefined;
  readonly usesReusePort: boolean;
  readonly trustedSources: readonly string[];
  readonly drainDelayMs: number;
  readonly drainTimeoutMs: number;
  readonly accessLog: string;
  readonly limits: DataplaneLimits;
  /** `undefined`: no certificates are kept, and there are no tunnels: it is no pod. */
  readonly identity: IdentitySettings | undefined;
};

export type IdentitySettings = {
  readonly tunnelPort: number;
  /** Of this proxy's own pod: its token is bound to it. */
  readonly podUid: string;
  readonly podAddress: string | undefined;
  /** Where keys may be kept, if that is in memory. */
  readonly stateDirectory: string | undefined;
};

const mebibyte = 1024 * 1024;

/** Settings of a proxy, or one line that says what to do. */
export function proxySettingsOf(
  values: FlagValues,
  machine: MachineFacts,
): ProxySettings | FlagComplaint {
  const flags = readFlags(values);
  const nodeName = flags.text('node-name');
  if (nodeName === undefined) {
    return {
      complaint: 'a proxy serves one node: give --node-name, or set NODE_NAME (from spec.nodeName)',
    };
  }
  const accessLog = flags.text('access-log') ?? 'errors';
  if (parseAccessLogMode(accessLog) === undefined) {
    const given = JSON.stringify(accessLog.slice(0, 80));
    return { complaint: `--access-log takes off, denied, errors, all or sample:1/N, not ${given}` };
  }
  const asked = flags.count('workers');
  const workers = workersOf(asked, machine);
  const tunnels = tunnelsOf(flags, meshSettingsOf(values));
  if ('complaint' in tunnels) return tunnels;
  return {
    mesh: tunnels.mesh,
    nodeName,
    bindAddresses: addressesOf(flags.texts('bind-address')),
    adminPort: flags.count('admin-port') ?? 15_020,
    debugFrom: flags.text('debug-from') === 'any' ? 'any' : 'loopback',
    testHooks: flags.isOn('test-hooks'),
    dnsPort: flags.count('dns-port') ?? 15_053,
    workers,
    workersRefused: asked !== undefined && asked > workers ? asked : undefined,
    usesReusePort: machine.hasReusePort && workers > 1,
    trustedSources: flags.texts('trusted-sources'),
    drainDelayMs: flags.ms('drain-delay') ?? 5_000,
    drainTimeoutMs: flags.ms('drain-timeout') ?? 25_000,
    accessLog,
    limits: limitsOf(flags, machine, workers),
    identity: tunnels.identity,
  };
}

type Tunnels = Pick<ProxySettings, 'mesh' | 'identity'>;

/** Without a pod there is no bound token, and nobody would issue anything. */
export function identitySettingsOf(flags: FlagReader): IdentitySettings | undefined {
  const podUid = flags.text('pod-uid');
  if (podUid === undefined) return undefined;
  const podAddress = flags.text('pod-ip');
  return {
    tunnelPort: flags.count('tunnel-port') ?? 15_008,
    podUid,
    podAddress: podAddress === undefined ? undefined : normaliseAddress(podAddress),
    stateDirectory: flags.text('state-dir'),
  };
}

/**
 * A proxy that is no pod gets no certificate, so `permissive` comes down to plain text, which the
 * log says. `strict` stays what it is: the proxy does not start. A pod keeps certificates and
 * accepts tunnels in every mode, because others may be in another one: while a change of it is
 * rolled out, and in namespaces that say so.
 */
function tunnelsOf(flags: FlagReader, mesh: MeshSettings): Tunnels | FlagComplaint {
  const identity = identitySettingsOf(flags);
  if (identity !== undefined || mesh.mtls === 'off') return { mesh, identity };
  if (mesh.mtls === 'permissive') return { mesh: { ...mesh, mtls: 'off' }, identity };
  return {
    complaint:
      '--mtls strict needs certificates, and only a pod gets any: give --pod-uid, or set ' +
      'POD_UID (from metadata.uid)',
  };
}

function workersOf(asked: number | undefined, machine: MachineFacts): number {
  if (!machine.hasReusePort) return 1;
  return Math.min(asked ?? (machine.cpus < 2 ? 1 : 2), slotWorkersMax);
}

/** In one spelling and each once: a port opens only once on an address. */
function addressesOf(texts: readonly string[]): readonly string[] {
  return [...new Set(texts.flatMap((text) => normaliseAddress(text) ?? []))];
}

/** Numbers of contract §1 "Limits"; the memory budget is shared out evenly among the workers. */
function limitsOf(flags: FlagReader, machine: MachineFacts, workers: number): DataplaneLimits {
  const budget =
    flags.bytes('memory-budget') ??
    (machine.memoryLimitBytes === undefined ? 512 * mebibyte : machine.memoryLimitBytes * 0.7);
  return {
    headBytesMax: flags.bytes('max-head-bytes') ?? 32 * 1024,
    targetBytesMax: flags.bytes('max-target-bytes') ?? 8 * 1024,
    fieldsMax: flags.count('max-fields') ?? 128,
    pipelinedMax: flags.count('max-pipelined') ?? 64,
    streamsMax: flags.count('max-streams') ?? 1_000,
    connectionsMax: flags.count('max-connections-per-worker') ?? 16_384,
    requestBodyBytesMax: flags.bytes('max-request-body'),
    bufferedBytesMax: Math.floor(budget / workers),
    headTimeoutMs: flags.ms('head-timeout') ?? 10_000,
    keepAliveTimeoutMs: flags.ms('keep-alive-timeout') ?? 60_000,
    bodyTimeoutMs: flags.ms('body-timeout') ?? 30_000,
    idleTimeoutMs: flags.ms('idle-timeout') ?? 300_000,
    connectTimeoutMs: flags.ms('connect-timeout') ?? 5_000,
  };
}
