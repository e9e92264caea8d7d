// The answer to one certificate request: reads it, judges it, writes. A good one gets `Approved`
// and then its chain; a bad one `Denied`, or `Failed` where somebody else has approved it already,
// for the two exclude each other. A 409 means that somebody was faster: read and judge again. The
// judgement is `identity`'s; here is only what it needs and what follows from it.
import type { ClusterState } from '../../api/index.ts';
import { issueLeaf, judgeRequest } from '../../identity/control.ts';
import type { IssueRules, RequestJudgement } from '../../identity/control.ts';
import { kubeReason, resourcePath } from '../../kube/index.ts';
import type { Connection } from '../../kube/index.ts';
import type { Runtime } from '../../lib/clock.ts';
import type { KeyMaker } from '../../lib/keys.ts';
import type { Log } from '../../telemetry/index.ts';
import { textAt } from '../raw-object.ts';
import type { Signing } from './authority.ts';
import { KeyRegister } from './key-register.ts';
import { livePods, WatchedPods } from './pod-view.ts';
import {
  hasCondition,
  readEntry,
  readRequestFacts,
  withCertificate,
  withVerdict,
} from './request-object.ts';
import type { RequestEntry, Verdict } from './request-object.ts';

export type RequestEvents = {
  readonly issued: () => void;
  readonly denied: (reason: string) => void;
};

export type RequestAnswersOptions = {
  readonly connection: Connection;
  readonly runtime: Runtime;
  readonly log: Log;
  readonly keys: KeyMaker;
  readonly rules: IssueRules;
  readonly pods: () => ClusterState['pods'];
  readonly signing: () => Signing | undefined;
  readonly events: RequestEvents;
};

/** What became of it; `gone`: there is no such request any more. */
export type AnswerState = Exclude<RequestEntry['state'], 'pending'> | 'gone';

type Sign = Extract<RequestJudgement, { readonly kind: 'sign' }>;
type Deny = Extract<RequestJudgement, { readonly kind: 'deny' }>;

const collection = {
  group: 'certificates.k8s.io',
  version: 'v1',
  plural: 'certificatesigningrequests',
};
/** Conflicts in a row; more of them are somebody who writes for fun, and wait like any failure. */
const attemptsMax = 3;

export class RequestAnswers {
  readonly #options: RequestAnswersOptions;
  readonly #watched: WatchedPods;
  readonly #owners = new KeyRegister();

  constructor(options: RequestAnswersOptions) {
    this.#options = options;
    this.#watched = new WatchedPods(options.pods);
  }

  /** Throws KubeFailure when the API server did not answer. */
  async answer(entry: RequestEntry): Promise<AnswerState> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#attempt(entry);
      } catch (error) {
        const reason = kubeReason(error);
        if (reason === 'NotFound') return 'gone';
        if (reason !== 'Conflict' || attempt === attemptsMax) throw error;
      }
    }
  }

  async #attempt({ name, uid }: RequestEntry): Promise<AnswerState> {
    const object = await this.#options.connection.get(resourcePath({ ...collection, name }));
    const now = readEntry(object, textAt(object, 'spec', 'username') ?? '');
    // Another one of the same name: the watch will tell of it.
    if (now?.uid !== uid) return 'gone';
    if (now.state !== 'pending') return now.state;
    const judgement = await this.#judge(object);
    switch (judgement.kind) {
      case 'sign':
        return this.#sign(object, judgement);
      case 'deny':
        return this.#deny(object, judgement);
      case 'ignore':
        return 'gone';
    }
  }

  async #judge(object: unknown): Promise<Exclude<RequestJudgement, { kind: 'look-live' }>> {
    const { rules, connection } = this.#options;
    const facts = readRequestFacts(object);
    const owners = this.#owners.owners;
    const first = judgeRequest(facts, this.#watched.view(owners), rules);
    if (first.kind !== 'look-live') return first;
    const second = judgeRequest(facts, await livePods(connection, first, owners), rules);
    if (second.kind === 'look-live') throw new Error('BUG: a live look is no live look');
    return second;
  }

  async #sign(object: unknown, judgement: Sign): Promise<AnswerState> {
    const { leaf, keyFingerprint, keyOwner } = judgement;
    // Before the first wait: two requests with one key are judged side by side.
    this.#owners.note(keyFingerprint, keyOwner);
    const approved = hasCondition(object, 'Approved')
      ? object
      : await this.#put(object, 'approval', {
          type: 'Approved',
          reason: 'PodOnNode',
          message: `a pod of ${leaf.spiffeId} is on node ${leaf.node}`,
        });
    const issued = this.#issue(judgement);
    const body = withCertificate(approved, issued.pem);
    await this.#options.connection.update(pathOf(object, 'status'), body);
    this.#tellIssued(object, judgement, issued);
    return 'issued';
  }

  #issue({ leaf }: Sign): { readonly pem: string; serial: string; readonly notAfterMs: number } {
    const { keys, runtime, signing } = this.#options;
    const signer = signing();
    if (signer === undefined) throw new Error('the authority has gone meanwhile');
    const serial = Uint8Array.from(keys.randomBytes(16));
    // Positive, and of one length, so that logs and certificates show the same text.
    serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
    const nowMs = runtime.clock.wallMs();
    const issued = issueLeaf({ leaf, ...signer, serial, nowMs });
    if (issued.kind === 'refused') throw new Error(issued.message);
    return { ...issued, serial: Buffer.from(serial).toString('hex') };
  }

  #tellIssued(
    object: unknown,
    { leaf, requester }: Sign,
    issued: { readonly serial: string; readonly notAfterMs: number },
  ): void {
    this.#options.events.issued();
    this.#options.log.info('certificate issued', {
      identity: leaf.spiffeId,
      node: leaf.node,
      serial: issued.serial,
      notAfter: new Date(issued.notAfterMs).toISOString(),
      request: textAt(object, 'metadata', 'name'),
      proxyPod: requester.name,
      podUid: readEntry(object, textAt(object, 'spec', 'username') ?? '')?.pod?.uid,
    });
  }

  async #deny(object: unknown, { reason, message }: Deny): Promise<AnswerState> {
    const isApproved = hasCondition(object, 'Approved');
    await this.#put(object, isApproved ? 'status' : 'approval', {
      type: isApproved ? 'Failed' : 'Denied',
      reason,
      message,
    });
    this.#options.events.denied(reason);
    this.#options.log.warn('certificate denied', {
      reason,
      // `message` is the line's own text.
      why: message,
      username: textAt(object, 'spec', 'username'),
      request: textAt(object, 'metadata', 'name'),
    });
    return 'refused';
  }

  #put(
    object: unknown,
    subresource: 'approval' | 'status',
    verdict: Omit<Verdict, 'nowMs'>,
  ): Promise<unknown> {
    const { connection, runtime } = this.#options;
    const body = withVerdict(object, { ...verdict, nowMs: runtime.clock.wallMs() });
    return connection.update(pathOf(object, subresource), body);
  }
}

function pathOf(object: unknown, subresource: 'approval' | 'status'): string {
  const name = textAt(object, 'metadata', 'name') ?? '';
  return resourcePath({ ...collection, name, subresource });
}
