// The UDP listeners of a worker follow the table, as those of TCP do (listener.ts), with two
// differences. A socket belongs to one worker alone: who owns a port is told from outside. And a
// wildcard is opened address by address: a client takes an answer only from the address that it
// sent to, and the kernel would choose the source of a wildcard socket's answers by its routes,
// which on a machine with several addresses may be another one. kube-proxy rewrites a datagram's
// destination to the proxy's pod address and an answer's source back, by the connection that it
// keeps for exactly these two: so an answer is right when it leaves from the very address that the
// datagram came to, which a socket bound to it makes sure of. (Node tells no destination address.)
import { addressFamily, normaliseAddress } from '../lib/address.ts';
import type { BoundDatagrams, DatagramFate, DatagramNetwork } from '../lib/datagrams.ts';
import type { DatagramPlace } from '../lib/datagrams.ts';
import type { FlowDestination } from '../route/index.ts';
import type { FlowListenerSpec } from '../snapshot/index.ts';
import { Deadline } from './deadlines.ts';
import type { Deadlines } from './deadlines.ts';
import type { ListenerState } from './listener.ts';
import { errorCode, listenFault } from './node-error.ts';

/** A socket that could not be opened is tried again after this. */
const reopenMs = 1_000;

/** How often it is looked whether the machine has other addresses now. */
const lookMs = 10_000;

export type UdpListenersOptions = {
  readonly network: DatagramNetwork;
  readonly deadlines: Deadlines;
  readonly bindAddresses: readonly string[];
  readonly received: (on: UdpOpening, data: Uint8Array, from: DatagramPlace) => void;
  /** Its clients cannot be answered any more. */
  readonly closed: (on: UdpOpening) => void;
  /** One has opened, failed or closed. */
  readonly changed: () => void;
};

type Place = { readonly address: string; readonly isFromWildcard: boolean };

export class UdpListeners {
  readonly #options: UdpListenersOptions;
  readonly #byTarget = new Map<number, UdpPort>();
  readonly #hasWildcard: boolean;
  readonly #look = new Deadline(() => this.#lookAgain());
  #places: readonly Place[] = [];

  constructor(options: UdpListenersOptions) {
    this.#options = options;
    this.#hasWildcard = options.bindAddresses.some((address) => isWildcard(address));
  }

  /** Opens what is missing, closes what is gone. */
  follow(specs: readonly FlowListenerSpec[]): void {
    const wanted = new Map(specs.map((spec) => [spec.targetPort, spec]));
    for (const [targetPort, port] of this.#byTarget) {
      const spec = wanted.get(targetPort);
      if (spec !== undefined && port.isFor(spec)) continue;
      this.#byTarget.delete(targetPort);
      port.close();
    }
    if (this.#byTarget.size === 0 && specs.length > 0) this.#lookAgain();
    for (const spec of specs) {
      if (this.#byTarget.has(spec.targetPort)) continue;
      const port = new UdpPort(spec, this.#options);
      this.#byTarget.set(spec.targetPort, port);
      port.follow(this.#places);
    }
  }

  states(): readonly ListenerState[] {
    return [...this.#byTarget.values()].map((port) => port.state());
  }

  close(): void {
    this.#options.deadlines.disarm(this.#look);
    for (const port of this.#byTarget.values()) port.close();
    this.#byTarget.clear();
  }

  #lookAgain(): void {
    const { bindAddresses, network, deadlines } = this.#options;
    const local = this.#hasWildcard ? network.localAddresses() : [];
    this.#places = bindAddresses.flatMap((address) => placesOf(address, local));
    for (const port of this.#byTarget.values()) port.follow(this.#places);
    if (this.#hasWildcard) deadlines.arm(this.#look, lookMs);
  }
}

function isWildcard(address: string): boolean {
  return address === '0.0.0.0' || normaliseAddress(address) === '::';
}

function placesOf(address: string, local: readonly string[]): readonly Place[] {
  if (!isWildcard(address)) return [{ address, isFromWildcard: false }];
  const family = addressFamily(address);
  return local
    .filter((one) => addressFamily(one) === family)
    .map((one) => ({ address: one, isFromWildcard: true }));
}

/** One port, on every address that it is opened on. */
class UdpPort {
  readonly #spec: FlowListenerSpec;
  readonly #options: UdpListenersOptions;
  readonly #openings = new Map<string, UdpOpening>();

  constructor(spec: FlowListenerSpec, options: UdpListenersOptions) {
    this.#spec = spec;
    this.#options = options;
  }

  isFor({ namespace, service, servicePort }: FlowListenerSpec): boolean {
    const here = this.#spec;
    const isSameService = here.namespace === namespace && here.service === service;
    return isSameService && here.servicePort === servicePort;
  }

  follow(places: readonly Place[]): void {
    const wanted = new Set(places.map(({ address }) => address));
    for (const [address, opening] of this.#openings) {
      if (wanted.has(address)) continue;
      this.#openings.delete(address);
      opening.close();
    }
    for (const place of places) {
      if (this.#openings.has(place.address)) continue;
      this.#openings.set(place.address, new UdpOpening(this.#spec, place, this.#options));
    }
  }

  /**
   * Of the addresses behind a wildcard one is enough: some may be on their way to the machine, or
   * from it, which is no reason to refuse everybody.
   */
  state(): ListenerState {
    const { protocol, namespace, service, servicePort, targetPort } = this.#spec;
    const all = [...this.#openings.values()];
    const hasOpen = all.some((one) => one.isOpen);
    const missing = all.filter((one) => !one.isOpen && !one.isAbsent);
    const failed = missing
      .filter((one) => !one.isFromWildcard || !hasOpen)
      .find((one) => one.failure !== undefined);
    return {
      protocol,
      owner: `${namespace}/${service}`,
      servicePort,
      targetPort,
      openPort: all.find((one) => one.isOpen)?.port(),
      isOpen: hasOpen && missing.every((one) => one.isFromWildcard),
      failure: failed?.failure,
    };
  }

  close(): void {
    for (const opening of this.#openings.values()) opening.close();
    this.#openings.clear();
  }
}

/** One port on one address. */
export class UdpOpening {
  /** The Service port that it stands for. */
  readonly to: FlowDestination;
  readonly isFromWildcard: boolean;
  isOpen = false;
  /** The machine does not have this family of addresses. */
  isAbsent = false;
  failure: string | undefined;
  readonly #options: UdpListenersOptions;
  readonly #address: string;
  readonly #targetPort: number;
  readonly #retry = new Deadline(() => this.#open());
  #socket: BoundDatagrams | undefined;
  #isClosed = false;

  constructor(spec: FlowListenerSpec, place: Place, options: UdpListenersOptions) {
    const { namespace, service, servicePort, targetPort } = spec;
    this.to = { protocol: 'udp', namespace, service, servicePort };
    this.isFromWildcard = place.isFromWildcard;
    this.#options = options;
    this.#address = place.address;
    this.#targetPort = targetPort;
    this.#open();
  }

  port(): number | undefined {
    return this.#socket?.port();
  }

  /** From the address and port that the client sent to. */
  sendTo(data: Uint8Array, client: DatagramPlace): DatagramFate {
    return this.#socket?.sendTo(data, client) ?? 'failed';
  }

  close(): void {
    this.#isClosed = true;
    this.#options.deadlines.disarm(this.#retry);
    this.#shut();
  }

  #open(): void {
    const { network, changed, received } = this.#options;
    const place = { address: this.#address, port: this.#targetPort };
    this.#socket = network.bind(place, {
      bound: () => {
        this.isOpen = true;
        this.failure = undefined;
        changed();
      },
      failed: (error) => this.#failed(error),
      received: (data, port, address) => received(this, data, { address, port }),
    });
  }

  #failed(error: Error): void {
    if (this.#isClosed) return;
    const fault = listenFault(error);
    // An open socket that is out of memory for a moment goes on by itself.
    if (this.isOpen && fault === 'exhausted') return;
    this.#shut();
    this.isAbsent = fault === 'no-family';
    if (!this.isAbsent) {
      this.failure =
        `listen on ${this.#address} port ${this.#targetPort} (UDP) failed: ` +
        `${errorCode(error) ?? 'unknown'} (hint: another program uses the port, ` +
        'or the address is not of this host)';
      this.#options.deadlines.arm(this.#retry, reopenMs);
    }
    this.#options.changed();
  }

  #shut(): void {
    this.#socket?.close();
    this.#socket = undefined;
    this.isOpen = false;
    this.#options.closed(this);
  }
}
