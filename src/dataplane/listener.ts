// The listeners of a worker follow the table: they open when a port appears and stop accepting
// when it goes, without a restart. One port may be opened on several addresses; it counts as
// open when it is on all of them, but for those of a family that the host does not have.
// Accepted connections outlive their listener.
import type { Network, NetworkListener, NetworkSocket } from '../lib/network.ts';
import type { ListenerSpec } from '../snapshot/index.ts';
import type { Deadlines } from './deadlines.ts';
import { Deadline } from './deadlines.ts';
import { errorCode, listenFault } from './node-error.ts';

/** A listener that could not be opened is tried again after this. */
const reopenMs = 1_000;

export type ListenerState = {
  readonly protocol: ListenerSpec['protocol'];
  /** `namespace/service` of one that stands for a single service. */
  readonly owner: string | undefined;
  readonly servicePort: number;
  readonly targetPort: number;
  /** The port that is really listened on; differs from targetPort when that is 0 (tests). */
  readonly openPort: number | undefined;
  readonly isOpen: boolean;
  /** Why it is not open. */
  readonly failure: string | undefined;
};

export type ListenersOptions = {
  readonly network: Pick<Network, 'listen'>;
  readonly deadlines: Deadlines;
  readonly bindAddresses: readonly string[];
  readonly reusePort: boolean;
  readonly accepted: (socket: NetworkSocket, listener: ListenerSpec) => void;
  /** One has opened, failed or closed. */
  readonly changed: () => void;
};

export class Listeners {
  readonly #options: ListenersOptions;
  readonly #byTarget = new Map<number, Listener>();

  constructor(options: ListenersOptions) {
    this.#options = options;
  }

  /** Opens what is missing, closes what is gone. */
  follow(specs: readonly ListenerSpec[]): void {
    const wanted = new Map(specs.map((spec) => [spec.targetPort, spec]));
    for (const [targetPort, listener] of this.#byTarget) {
      if (standsForSame(wanted.get(targetPort), listener.spec)) continue;
      listener.close();
      this.#byTarget.delete(targetPort);
    }
    for (const spec of specs) {
      if (this.#byTarget.has(spec.targetPort)) continue;
      this.#byTarget.set(spec.targetPort, new Listener(spec, this.#options));
    }
  }

  states(): readonly ListenerState[] {
    return [...this.#byTarget.values()].map((listener) => listener.state());
  }

  close(): void {
    for (const listener of this.#byTarget.values()) listener.close();
    this.#byTarget.clear();
  }
}

type Opening = {
  readonly address: string;
  readonly retry: Deadline;
  listener: NetworkListener | undefined;
  isOpen: boolean;
  /** The host does not know this family of addresses. */
  isAbsent: boolean;
  failure: string | undefined;
};

/** Whether connections to it mean the same: then its listener stays as it is. */
function standsForSame(one: ListenerSpec | undefined, other: ListenerSpec): boolean {
  if (one?.protocol !== other.protocol || one.servicePort !== other.servicePort) return false;
  return ownerOf(one) === ownerOf(other);
}

function ownerOf(spec: ListenerSpec): string | undefined {
  return spec.protocol === 'http' ? undefined : `${spec.namespace}/${spec.service}`;
}

/** One port on all bind addresses. */
class Listener {
  readonly spec: ListenerSpec;
  readonly #targetPort: number;
  readonly #options: ListenersOptions;
  readonly #openings: readonly Opening[];
  #isClosed = false;

  constructor(spec: ListenerSpec, options: ListenersOptions) {
    this.spec = spec;
    this.#targetPort = spec.targetPort;
    this.#options = options;
    this.#openings = options.bindAddresses.map((address) => this.#opening(address));
    for (const opening of this.#openings) this.#open(opening);
  }

  state(): ListenerState {
    const failed = this.#openings.find((opening) => opening.failure !== undefined);
    return {
      protocol: this.spec.protocol,
      owner: ownerOf(this.spec),
      servicePort: this.spec.servicePort,
      targetPort: this.#targetPort,
      openPort: this.#openings[0]?.listener?.port(),
      isOpen:
        this.#openings.some((opening) => opening.isOpen) &&
        this.#openings.every((opening) => opening.isOpen || opening.isAbsent),
      failure: failed?.failure,
    };
  }

  close(): void {
    this.#isClosed = true;
    for (const opening of this.#openings) {
      this.#options.deadlines.disarm(opening.retry);
      opening.listener?.close();
    }
  }

  #opening(address: string): Opening {
    const opening: Opening = {
      address,
      retry: new Deadline(() => this.#open(opening)),
      listener: undefined,
      isOpen: false,
      isAbsent: false,
      failure: undefined,
    };
    return opening;
  }

  #open(opening: Opening): void {
    const { network, reusePort, accepted, changed } = this.#options;
    const { address } = opening;
    opening.listener = network.listen({ address, port: this.#targetPort, reusePort }, {
      listening: () => {
        opening.isOpen = true;
        opening.failure = undefined;
        changed();
      },
      failed: (error) => this.#failed(opening, error),
      accepted: (socket) => accepted(socket, this.spec),
    });
  }

  #failed(opening: Opening, error: Error): void {
    if (this.#isClosed) return;
    // Accepting that fails for want of descriptors goes on by itself when some are free again.
    const fault = listenFault(error);
    if (opening.isOpen && fault === 'exhausted') return;
    if (fault === 'no-family') {
      opening.isAbsent = true;
      this.#options.changed();
      return;
    }
    opening.isOpen = false;
    opening.failure =
      `listen on ${opening.address} port ${this.#targetPort} failed: ` +
      `${errorCode(error) ?? 'unknown'} (hint: ${listenHints[fault]})`;
    opening.listener?.close();
    this.#options.deadlines.arm(opening.retry, reopenMs);
    this.#options.changed();
  }
}

const listenHints = {
  'in-use': 'another process uses the port, or the address is not of this host',
  'no-family': 'the host does not have this family of addresses',
  denied: 'the process may not open this port',
  exhausted: 'the process is out of file descriptors or memory',
  other: 'see the system log of the node',
} as const;
