// Asks for certificates: one CertificateSigningRequest per key, made under this proxy's own bound
// token, and its answer from one watch over the requests of this pod. It judges nothing: whether
// what comes back is what was asked for is the keeper's question.
// A name is drawn here and not by the server, so that a POST that is repeated makes no second one.
import {
  createCertificateRequest,
  requestUsages,
  workloadNames,
  workloadSigner,
} from '../identity/control.ts';
import type { SpiffeId } from '../identity/index.ts';
import {
  kubeReason,
  resourcePath,
  startReflector,
  type Connection,
  type Reflector,
  type Sink,
} from '../kube/index.ts';
import type { Runtime } from '../lib/clock.ts';
import type { KeyMaker, MadeKey } from '../lib/keys.ts';
import { listAt, textAt, valueAt } from '../lib/raw-object.ts';
import type { Log } from '../telemetry/index.ts';

export type CertificateRequestsOptions = {
  readonly connection: Connection;
  readonly runtime: Runtime;
  readonly log: Log;
  readonly keys: KeyMaker;
  readonly nodeName: string;
  readonly podUid: string;
};

/** What came of one request. */
export type RequestOutcome =
  | { readonly kind: 'issued'; readonly pem: string; readonly key: MadeKey }
  | { readonly kind: 'failed'; readonly reason: string; readonly message: string };

export type CertificateRequests = {
  /** Asks once; resolves within the deadline, never rejects. */
  readonly ask: (id: SpiffeId) => Promise<RequestOutcome>;
  readonly stop: () => Promise<void>;
};

/** Creates that are on their way at once; the others wait in their order. */
const createsMax = 20;
/** From the create on. */
const answerTimeoutMs = 10_000;
const createTimeoutMs = 10_000;
const expirationSeconds = 86_400;
const group = { group: 'certificates.k8s.io', version: 'v1' };
const plural = 'certificatesigningrequests';

/** What of a request's status counts. */
type Answer = {
  readonly uid: string;
  readonly pem: string | undefined;
  readonly refusal: { readonly reason: string; readonly message: string } | undefined;
};

type Waiting = {
  /** Unknown until the create was answered; the watch may be faster. */
  uid: string | undefined;
  readonly answers: Answer[];
  readonly settle: (answer: Answer | undefined) => void;
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
  /** By name. */
  readonly #waiting = new Map<string, Waiting>();
  readonly #queue: (() => void)[] = [];
  #creating = 0;
  #isStopped = false;

  constructor(options: CertificateRequestsOptions) {
    this.#options = options;
    this.#reflector = startReflector<Answer>({
      connection: options.connection,
      runtime: options.runtime,
      log: options.log,
      resource: { group: group.group, plural, versions: [group.version] },
      selector: { labelSelector: `weft.dev/proxy-pod=${options.podUid}` },
      parse: (object) => ({ value: answerOf(object), problems: [] }),
      sink: this.#sink(),
    });
  }

  async ask(id: SpiffeId): Promise<RequestOutcome> {
    try {
      await this.#turn();
      return await this.#askInTurn(id);
    } catch (error) {
      const reason = kubeReason(error) ?? 'Bug';
      return { kind: 'failed', reason, message: messageOf(error) };
    }
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const start of this.#queue.splice(0)) start();
    for (const { settle } of [...this.#waiting.values()]) settle(undefined);
    await this.#reflector.stop();
  }

  /** Resolves when fewer creates than allowed are on their way; holds a place then. */
  async #turn(): Promise<void> {
    if (this.#creating >= createsMax) {
      await new Promise<void>((resolve) => void this.#queue.push(resolve));
    }
    this.#creating += 1;
  }

  #leaveTurn(): void {
    this.#creating -= 1;
    this.#queue.shift()?.();
  }

  async #askInTurn(id: SpiffeId): Promise<RequestOutcome> {
    let created: Created;
    try {
      if (this.#isStopped) return noAnswer;
      created = await this.#create(id);
    } finally {
      this.#leaveTurn();
    }
    const answer = await created.answered;
    if (answer?.pem !== undefined) return { kind: 'issued', pem: answer.pem, key: created.key };
    if (answer?.refusal !== undefined) return { kind: 'failed', ...answer.refusal };
    return noAnswer;
  }

  async #create(id: SpiffeId): Promise<Created> {
    const { keys, nodeName, podUid } = this.#options;
    const key = await keys.makeKey();
    const pem = createCertificateRequest({
      publicKey: key.publicKeySpki,
      sans: workloadNames(id, nodeName),
      sign: key.sign,
    });
    const request = Buffer.from(pem).toString('base64');
    const digits = Buffer.from(keys.randomBytes(8)).toString('hex');
    const name = `weft-${podUid.slice(0, 8)}-${digits}`;
    const answered = this.#await(name);
    try {
      const uid = await this.#post({ name, request, id });
      this.#nameUid(name, uid);
    } catch (error) {
      this.#waiting.get(name)?.settle(undefined);
      throw error;
    }
    return { key, answered };
  }

  /** The uid of the request. One that was repeated after a lost answer is found by its content. */
  async #post(made: { name: string; request: string; id: SpiffeId }): Promise<string> {
    const connection = this.#options.connection.within(createTimeoutMs);
    const object = manifestOf(made, this.#options);
    try {
      return uidOf(await connection.create(resourcePath({ ...group, plural }), object));
    } catch (error) {
      const reason = kubeReason(error);
      // No answer: it may stand or not. Asking once more tells.
      if (reason === 'Timeout' || reason === 'Unreachable' || reason === 'ServerError') {
        return await this.#repeat(connection, made, object);
      }
      throw error;
    }
  }

  async #repeat(
    connection: Connection,
    { name, request }: { readonly name: string; readonly request: string },
    object: unknown,
  ): Promise<string> {
    try {
      return uidOf(await connection.create(resourcePath({ ...group, plural }), object));
    } catch (error) {
      if (kubeReason(error) !== 'AlreadyExists') throw error;
      const standing = await connection.get(resourcePath({ ...group, plural, name }));
      // Somebody else's by the same name: the next attempt draws another.
      if (textAt(standing, 'spec', 'request') !== request) throw error;
      return uidOf(standing);
    }
  }

  #await(name: string): Promise<Answer | undefined> {
    return new Promise((resolve) => {
      // Creating has a deadline of its own, and may be done twice.
      const deadlineMs = answerTimeoutMs + 2 * createTimeoutMs;
      const timer = this.#options.runtime.timers.after(deadlineMs, () => settle(undefined));
      const settle = (answer: Answer | undefined): void => {
        timer.cancel();
        this.#waiting.delete(name);
        resolve(answer);
      };
      this.#waiting.set(name, { uid: undefined, answers: [], settle });
    });
  }

  #nameUid(name: string, uid: string): void {
    const waiting = this.#waiting.get(name);
    if (waiting === undefined) return;
    waiting.uid = uid;
    const { settle } = waiting;
    this.#options.runtime.timers.after(answerTimeoutMs, () => {
      if (this.#waiting.get(name) === waiting) settle(undefined);
    });
    const early = waiting.answers.find((answer) => answer.uid === uid);
    if (early !== undefined) settle(early);
  }

  #sink(): Sink<Answer> {
    const see = (key: string, answer: Answer | undefined): void => {
      const waiting = this.#waiting.get(key.slice(key.indexOf('/') + 1));
      if (waiting === undefined || answer === undefined) return;
      if (answer.pem === undefined && answer.refusal === undefined) return;
      if (waiting.uid === undefined) waiting.answers.push(answer);
      else if (waiting.uid === answer.uid) waiting.settle(answer);
    };
    return {
      put: (key, { value }) => see(key, value),
      remove: () => undefined,
      replace: () => {
        const listed = new Map<string, Answer | undefined>();
        return {
          put: (key, { value }) => void listed.set(key, value),
          remove: (key) => void listed.delete(key),
          commit: () => {
            for (const [key, answer] of listed) see(key, answer);
          },
        };
      },
    };
  }
}

type Created = { readonly key: MadeKey; readonly answered: Promise<Answer | undefined> };

const noAnswer: RequestOutcome = {
  kind: 'failed',
  reason: 'NoAnswer',
  message: `nobody has answered within ${answerTimeoutMs} ms (hint: is a controller running?)`,
};

function manifestOf(
  { name, request, id }: { readonly name: string; readonly request: string; readonly id: SpiffeId },
  { podUid, nodeName }: CertificateRequestsOptions,
): unknown {
  return {
    apiVersion: 'certificates.k8s.io/v1',
    kind: 'CertificateSigningRequest',
    metadata: {
      name,
      labels: {
        'app.kubernetes.io/name': 'weft',
        'app.kubernetes.io/component': 'identity',
        'weft.dev/proxy-pod': podUid,
      },
      annotations: { 'weft.dev/identity': id, 'weft.dev/node': nodeName },
    },
    spec: { signerName: workloadSigner, usages: [...requestUsages], expirationSeconds, request },
  };
}

function answerOf(object: unknown): Answer {
  const certificate = textAt(object, 'status', 'certificate');
  let refusal: Answer['refusal'];
  for (const condition of listAt(object, 'status', 'conditions')) {
    const type = textAt(condition, 'type');
    if (type !== 'Denied' && type !== 'Failed') continue;
    const reason = textAt(condition, 'reason') ?? type;
    refusal = { reason, message: (textAt(condition, 'message') ?? '').slice(0, 300) };
  }
  const pem = Buffer.from(certificate ?? '', 'base64').toString('latin1');
  return { uid: uidOf(object), pem: pem === '' ? undefined : pem, refusal };
}

function uidOf(object: unknown): string {
  return textAt(valueAt(object, 'metadata'), 'uid') ?? '';
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
