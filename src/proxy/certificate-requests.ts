// Asks for certificates: one CertificateSigningRequest per key, made under this proxy's own bound
// token, and its answer from one watch over the requests of this pod. It judges nothing: whether
// what comes back is what was asked for is the keeper's question.
// Invariant: of one identity at most one request of this program stands without an answer, and few
// of its predecessors in this pod; who asks again waits on. So an issuer that is away for a day
// finds one request per identity, not a thousand.
// A name is drawn here and not by the server, so that a POST that is repeated makes no second one;
// it is random, because a name that can be foretold can be taken by others.
import { createCertificateRequest, workloadNames } from '../identity/control.ts';
import type { SpiffeId } from '../identity/index.ts';
import {
  kubeReason,
  resourcePath,
  startReflector,
  type Connection,
  type Reflector,
  type Sink,
} from '../kube/index.ts';
import type { Runtime, Timer } from '../lib/clock.ts';
import type { KeyMaker, MadeKey } from '../lib/keys.ts';
import { textAt } from '../lib/raw-object.ts';
import type { Log } from '../telemetry/index.ts';
import {
  requestKind,
  requestManifest,
  seenRequest,
  uidOf,
  type RequestAnswer,
  type SeenRequest,
} from './request-object.ts';

export type CertificateRequestsOptions = {
  readonly connection: Connection;
  readonly runtime: Runtime;
  readonly log: Log;
  readonly keys: KeyMaker;
  readonly nodeName: string;
  readonly podUid: string;
  /** Asking for this identity once more is worth while now: an answer came that nobody awaited. */
  readonly onAnswered?: (id: SpiffeId) => void;
};

/** What came of one request. */
export type RequestOutcome =
  | { readonly kind: 'issued'; readonly pem: string; readonly key: MadeKey }
  | { readonly kind: 'failed'; readonly reason: string; readonly message: string };

export type CertificateRequests = {
  /** Asks, or waits on for what was asked; resolves within the deadline, never rejects. */
  readonly ask: (id: SpiffeId) => Promise<RequestOutcome>;
  readonly stop: () => Promise<void>;
};

/** Creates that are on their way at once; the others wait in their order. */
const createsMax = 20;
/** For one question; the request itself stands until it is answered or removed. */
const answerTimeoutMs = 10_000;
const createTimeoutMs = 10_000;
/**
 * Requests of one identity without an answer whose keys went with earlier containers of this pod:
 * nobody else can tell what they are for, and they are of no use, so more of them are not made.
 */
const orphansMax = 3;
/** Objects of one name that the watch may show before the create is answered. */
const earlyMax = 4;

/** A request whose key this program has. */
type OpenRequest = {
  readonly id: SpiffeId;
  readonly name: string;
  /** Base64 of the PEM. */
  readonly request: string;
  readonly key: MadeKey;
  /** Unknown until the create was answered; the watch may be faster. */
  uid: string | undefined;
  /** The watch has shown it. */
  isSeen: boolean;
  readonly early: SeenRequest[];
  answer: RequestAnswer | undefined;
  /** Who waits. */
  wake: (() => void) | undefined;
};

export function startCertificateRequests(
  options: CertificateRequestsOptions,
): CertificateRequests {
  const running = new RunningRequests(options);
  return { ask: (id) => running.ask(id), stop: () => running.stop() };
}

class RunningRequests {
  readonly #options: CertificateRequestsOptions;
  readonly #reflector: Reflector;
  readonly #open = new Map<SpiffeId, OpenRequest>();
  readonly #openNamed = new Map<string, OpenRequest>();
  readonly #asking = new Map<SpiffeId, Promise<RequestOutcome>>();
  /** By name: what this pod has made, in whatever container, and nobody has answered. */
  readonly #unanswered = new Map<string, SeenRequest>();
  /** Identities that were refused a request because of those. */
  readonly #blocked = new Set<SpiffeId>();
  readonly #queue: (() => void)[] = [];
  readonly #awaitingList = new Set<() => void>();
  #creating = 0;
  #isStopped = false;

  constructor(options: CertificateRequestsOptions) {
    this.#options = options;
    this.#reflector = startReflector<SeenRequest>({
      connection: options.connection,
      runtime: options.runtime,
      log: options.log,
      resource: {
        group: requestKind.group,
        plural: requestKind.plural,
        versions: [requestKind.version],
      },
      selector: { labelSelector: `weft.dev/proxy-pod=${options.podUid}` },
      parse: (object) => ({ value: seenRequest(object), problems: [] }),
      sink: this.#sink(),
      onSynced: () => {
        for (const go of [...this.#awaitingList]) go();
      },
    });
  }

  ask(id: SpiffeId): Promise<RequestOutcome> {
    const before = this.#asking.get(id);
    if (before !== undefined) return before;
    const asked = this.#ask(id).finally(() => this.#asking.delete(id));
    this.#asking.set(id, asked);
    return asked;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const start of this.#queue.splice(0)) start();
    for (const go of [...this.#awaitingList]) go();
    for (const { wake } of this.#open.values()) wake?.();
    await this.#reflector.stop();
  }

  async #ask(id: SpiffeId): Promise<RequestOutcome> {
    try {
      if (!(await this.#isListed())) return noList;
      const open = this.#open.get(id) ?? (await this.#begin(id));
      if (open === undefined) return tooMany;
      if (open.uid === undefined) await this.#inTurn(() => this.#create(open));
      if (this.#isStopped) return noAnswer;
      const answer = open.answer ?? (await this.#answerTo(open));
      if (answer === undefined) return noAnswer;
      this.#close(open);
      if (answer.kind === 'issued') return { kind: 'issued', pem: answer.pem, key: open.key };
      return { ...answer, kind: 'failed' };
    } catch (error) {
      const reason = kubeReason(error) ?? 'Bug';
      return { kind: 'failed', reason, message: messageOf(error) };
    }
  }

  /** What stands from before is known: without that, each restart would add to it. */
  async #isListed(): Promise<boolean> {
    const isListed = (): boolean => this.#reflector.status().isSynced;
    if (isListed() || this.#isStopped) return true;
    await new Promise<void>((resolve) => {
      const go = (): void => {
        timer.cancel();
        this.#awaitingList.delete(go);
        resolve();
      };
      const timer: Timer = this.#options.runtime.timers.after(answerTimeoutMs, go);
      this.#awaitingList.add(go);
    });
    return isListed() || this.#isStopped;
  }

  /** A key and its request, which is not sent yet; `undefined`: too many stand already. */
  async #begin(id: SpiffeId): Promise<OpenRequest | undefined> {
    const { keys, nodeName, podUid } = this.#options;
    const isOfId = ({ identity }: SeenRequest): boolean => identity === id;
    if ([...this.#unanswered.values()].filter(isOfId).length >= orphansMax) {
      this.#blocked.add(id);
      return undefined;
    }
    const key = await keys.makeKey();
    const sans = workloadNames(id, nodeName);
    const pem = createCertificateRequest({ publicKey: key.publicKeySpki, sans, sign: key.sign });
    const request = Buffer.from(pem).toString('base64');
    const digits = Buffer.from(keys.randomBytes(8)).toString('hex');
    const name = `weft-${podUid.slice(0, 8)}-${digits}`;
    const fresh = { uid: undefined, isSeen: false, answer: undefined, wake: undefined };
    const open: OpenRequest = { id, name, request, key, early: [], ...fresh };
    this.#open.set(id, open);
    this.#openNamed.set(name, open);
    return open;
  }

  #close(open: OpenRequest): void {
    if (this.#open.get(open.id) === open) this.#open.delete(open.id);
    this.#openNamed.delete(open.name);
  }

  /** Runs it when fewer creates than allowed are on their way. */
  async #inTurn(create: () => Promise<void>): Promise<void> {
    if (this.#creating >= createsMax) {
      await new Promise<void>((resolve) => void this.#queue.push(resolve));
    }
    if (this.#isStopped) return;
    this.#creating += 1;
    try {
      await create();
    } finally {
      this.#creating -= 1;
      this.#queue.shift()?.();
    }
  }

  /** Sends it. One whose answer was lost may stand: it is sent again as it was, now or later. */
  async #create(open: OpenRequest): Promise<void> {
    try {
      await this.#send(open).catch((error: unknown) => {
        if (!isUnanswered(error)) throw error;
        return this.#send(open);
      });
    } catch (error) {
      if (!isUnanswered(error)) this.#close(open);
      throw error;
    }
  }

  async #send(open: OpenRequest): Promise<void> {
    const connection = this.#options.connection.within(createTimeoutMs);
    const { name, request } = open;
    const object = requestManifest({ ...this.#options, name, request, id: open.id });
    try {
      this.#nameUid(open, uidOf(await connection.create(resourcePath(requestKind), object)));
    } catch (error) {
      if (kubeReason(error) !== 'AlreadyExists') throw error;
      const standing = await connection.get(resourcePath({ ...requestKind, name }));
      // Somebody else's by the same name: the next attempt draws another.
      if (textAt(standing, 'spec', 'request') !== request) throw error;
      this.#nameUid(open, uidOf(standing));
    }
  }

  #nameUid(open: OpenRequest, uid: string): void {
    open.uid = uid;
    for (const seen of open.early) this.#showOpen(open, seen);
  }

  #answerTo(open: OpenRequest): Promise<RequestAnswer | undefined> {
    return new Promise((resolve) => {
      const wake = (): void => {
        timer.cancel();
        open.wake = undefined;
        resolve(open.answer);
      };
      const timer: Timer = this.#options.runtime.timers.after(answerTimeoutMs, wake);
      open.wake = wake;
    });
  }

  #see(name: string, seen: SeenRequest): void {
    const open = this.#openNamed.get(name);
    if (open !== undefined) {
      this.#showOpen(open, seen);
      return;
    }
    // Anybody may use our label; only what the API server has stamped counts.
    const counts = seen.madeBy === this.#options.podUid && seen.answer === undefined;
    if (counts) this.#unanswered.set(name, seen);
    else this.#noteAnswered(name);
  }

  #showOpen(open: OpenRequest, seen: SeenRequest): void {
    if (open.uid === undefined) {
      if (open.early.length < earlyMax) open.early.push(seen);
      return;
    }
    if (open.uid !== seen.uid) return;
    open.isSeen = true;
    if (seen.answer !== undefined) this.#settle(open, seen.answer);
  }

  #settle(open: OpenRequest, answer: RequestAnswer): void {
    open.answer ??= answer;
    if (open.wake === undefined) this.#tell(open.id);
    else open.wake();
  }

  #gone(name: string): void {
    this.#noteAnswered(name);
    const open = this.#openNamed.get(name);
    // A list may be older than what was made since: only what it has shown can go.
    if (open?.isSeen !== true) return;
    if (open.wake === undefined) this.#close(open);
    else this.#settle(open, removed);
  }

  #noteAnswered(name: string): void {
    const known = this.#unanswered.get(name);
    if (known === undefined) return;
    this.#unanswered.delete(name);
    for (const id of this.#blocked) {
      if (id === known.identity && this.#blocked.delete(id)) this.#tell(id);
    }
  }

  #tell(id: SpiffeId): void {
    if (!this.#isStopped && !this.#asking.has(id)) this.#options.onAnswered?.(id);
  }

  #sink(): Sink<SeenRequest> {
    const nameOf = (key: string): string => key.slice(key.indexOf('/') + 1);
    const see = (key: string, seen: SeenRequest | undefined): void => {
      if (seen !== undefined) this.#see(nameOf(key), seen);
    };
    return {
      put: (key, { value }) => see(key, value),
      remove: (key, uid) => {
        const name = nameOf(key);
        const known = this.#openNamed.get(name)?.uid ?? this.#unanswered.get(name)?.uid;
        if (uid === '' || uid === known) this.#gone(name);
      },
      replace: () => {
        const listed = new Map<string, SeenRequest | undefined>();
        return {
          put: (key, { value }) => void listed.set(nameOf(key), value),
          remove: (key) => void listed.delete(nameOf(key)),
          commit: () => {
            const known = [...this.#openNamed.keys(), ...this.#unanswered.keys()];
            for (const name of known) if (!listed.has(name)) this.#gone(name);
            for (const [name, seen] of listed) see(name, seen);
          },
        };
      },
    };
  }
}

const noAnswer: RequestOutcome = {
  kind: 'failed',
  reason: 'NoAnswer',
  message: `nobody has answered within ${answerTimeoutMs} ms (hint: is a controller running?)`,
};

const noList: RequestOutcome = {
  kind: 'failed',
  reason: 'RequestsUnlisted',
  message: 'what stands from before is not known (hint: may weft-proxy list requests?)',
};

const tooMany: RequestOutcome = {
  kind: 'failed',
  reason: 'RequestsOutstanding',
  message: `${orphansMax} requests of earlier containers wait (hint: is a controller running?)`,
};

const removed: RequestAnswer = {
  kind: 'refused',
  reason: 'RequestRemoved',
  message: 'the request was removed before it was answered',
};

/** It may have been done or not. */
function isUnanswered(error: unknown): boolean {
  const reason = kubeReason(error);
  return reason === 'Timeout' || reason === 'Unreachable' || reason === 'ServerError';
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
