// What passes between the control thread of a proxy and its workers. Messages are plain data
// (structured clone); the live numbers are in shared memory, not in messages.
import type { DataplaneLimits } from '../dataplane/index.ts';
import type { Credential, SpiffeId } from '../identity/index.ts';
import type { NodePartDelta, PeerPart, SnapshotDelta } from '../snapshot/index.ts';
import type { SeriesDefinition, SlotDelta, SlotMemory } from '../telemetry/index.ts';
import type { HandshakeNotice } from './handshake-notices.ts';
import type { UdpOwners } from './udp-owners.ts';

/** Everything a worker has to be told once; arrives as workerData. */
export type WorkerStart = {
  readonly index: number;
  /** How many workers the proxy has. */
  readonly count: number;
  readonly nodeName: string;
  readonly slots: SlotMemory;
  /** Cells of this worker's own metrics; one writer, the control thread reads. */
  readonly meters: SharedArrayBuffer;
  readonly settings: WorkerSettings;
};

/** Settings of the data plane, resolved; a worker knows no defaults. */
export type WorkerSettings = {
  /** A specific one is also the local address of upstream connections of its family. */
  readonly bindAddresses: readonly string[];
  readonly usesReusePort: boolean;
  readonly trustedSources: readonly string[];
  readonly accessLog: string;
  readonly testHooks: boolean;
  readonly limits: DataplaneLimits;
  /** Absent: no tunnels, neither accepted nor dialled. */
  readonly tunnel?: TunnelSettings | undefined;
};

export type TunnelSettings = {
  /** Where tunnels are accepted, here and at every peer. */
  readonly port: number;
  readonly trustDomain: string;
  /** Whom a peer has to be when it is dialled: the proxies' own identity. */
  readonly proxyId: SpiffeId;
  /** Version of this build, for greetings. */
  readonly build: string;
};

/**
 * Certificates and keys: in a message of their own, apart from every update and before the first
 * one. Complete for a worker that has just started; afterwards `set` and `removed` are changes.
 */
export type Identities = {
  readonly kind: 'identities';
  /** The roots that peers' certificates may chain to, all of them; empty: nobody is trusted yet. */
  readonly trustPem: string;
  /** What this proxy shows as server, and as caller for those without an identity. */
  readonly own: Credential | undefined;
  readonly set: readonly Credential[];
  readonly removed: readonly SpiffeId[];
};

export type ToWorker =
  | {
      readonly kind: 'update';
      /** Order of updates; `applied` names it. */
      readonly sequence: number;
      readonly slots: SlotDelta | undefined;
      readonly snapshot: SnapshotDelta | undefined;
      readonly node: NodePartDelta | undefined;
      /** All of it, when anything of it has changed. */
      readonly peers?: PeerPart | undefined;
    }
  | Identities
  /** Which worker serves which share of the UDP ports; told before the first update. */
  | { readonly kind: 'udp-owners'; readonly owners: UdpOwners }
  | { readonly kind: 'drain'; readonly delayMs: number; readonly timeoutMs: number }
  | { readonly kind: 'inspect'; readonly query: number }
  /** Test hook: throw, so that only this worker dies. */
  | { readonly kind: 'throw' };

/** The ports that the table asks a worker to listen on, each in one of the lists. */
export type ListenerPorts = {
  readonly openPorts: readonly number[];
  /** Neither open nor failed yet. */
  readonly openingPorts: readonly number[];
  readonly failedPorts: readonly { readonly port: number; readonly message: string }[];
};

export type FromWorker =
  | { readonly kind: 'started'; readonly hasDirectSockets: boolean }
  | ({
      readonly kind: 'applied';
      readonly sequence: number;
      readonly version: string;
    } & ListenerPorts)
  /** The delta did not decode or does not fit: the last good snapshot stays in force (A6). */
  | { readonly kind: 'refused'; readonly sequence: number; readonly message: string }
  | { readonly kind: 'series'; readonly definitions: readonly SeriesDefinition[] }
  | { readonly kind: 'access-log'; readonly lines: readonly string[]; readonly dropped: number }
  /** Tunnels of one peer fail; the control thread logs it. */
  | { readonly kind: 'handshake-failed'; readonly notice: HandshakeNotice }
  /** A fault that cost one connection; the control thread counts and logs it. */
  | { readonly kind: 'bug'; readonly message: string }
  | { readonly kind: 'inspected'; readonly query: number; readonly state: unknown }
  | { readonly kind: 'drained' };
