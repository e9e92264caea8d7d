// Pods that are programs of their own – weft itself – as a kubelet runs them: what the program is
// told, and a readiness probe that is asked again and again. Whoever starts the simulator brings
// the programs; nothing here knows what they are.
import type { Runtime, Timer } from '../../lib/clock.ts';
import { isObject, listAt, nameOf, namespaceOf, textAt } from '../server/json.ts';
import type { Json, JsonObject } from '../server/json.ts';

/** Who a pod is. */
export type PodIdentity = {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly nodeName: string;
  readonly serviceAccount: string;
  /** Arguments of its first container. */
  readonly args: readonly string[];
};

/** What a kubelet gives to a container besides. */
export type PodLaunch = PodIdentity & {
  readonly address: string;
  /** Of the first container, with fields of the pod filled in (the downward API). */
  readonly environment: Readonly<Record<string, string>>;
  /** For its ServiceAccount, bound to this pod. */
  readonly token: string;
};

/** A started program. */
export type PodProgram = {
  /** Asks its readiness probe; rejects when nobody answers. */
  readonly isReady: () => Promise<boolean>;
  /** SIGTERM; resolves when it is gone. */
  readonly stop: () => Promise<void>;
};

/** Who runs pods that are programs. */
export type PodPrograms = {
  /** Its address for as long as it runs; `undefined`: it is none of these programs. */
  readonly place: (pod: PodIdentity) => string | undefined;
  readonly launch: (pod: PodLaunch) => PodProgram;
};

/** Before it was ever ready; the probes of the chart ask each second. */
const firstPeriodMs = 20;
const periodMs = 1000;
const failuresMax = 3;

export function identityOf(pod: JsonObject): PodIdentity {
  return {
    namespace: namespaceOf(pod),
    name: nameOf(pod),
    uid: textAt(pod, 'metadata', 'uid') ?? '',
    nodeName: textAt(pod, 'spec', 'nodeName') ?? '',
    serviceAccount: textAt(pod, 'spec', 'serviceAccountName') ?? 'default',
    args: listAt(firstContainer(pod), 'args').map(String),
  };
}

function firstContainer(pod: JsonObject): Json | undefined {
  return listAt(pod, 'spec', 'containers')[0];
}

/** Values as they are written, and the fields of the pod that are asked for. */
export function environmentOf(pod: JsonObject, address: string): Record<string, string> {
  const placed = { ...pod, status: { podIP: address } };
  const entries = listAt(firstContainer(pod), 'env').map((entry): [string, string] => {
    const field = textAt(entry, 'valueFrom', 'fieldRef', 'fieldPath');
    const value =
      field === undefined ? textAt(entry, 'value') : textAt(placed, ...field.split('.'));
    return [textAt(entry, 'name') ?? '', value ?? ''];
  });
  return Object.fromEntries(entries);
}

/** The body of a request for a token as a kubelet makes it for a pod's volume. */
export function tokenRequest(pod: PodIdentity): JsonObject {
  const { name, uid } = pod;
  return {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: {
      boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid },
      // A kubelet asks again in time; here it lasts as long as the pod may.
      expirationSeconds: 31_536_000,
    },
  };
}

/** The token in the answer to it. */
export function tokenIn(answer: unknown): string {
  // What the server answers is a JSON tree.
  const told = answer as Json;
  return isObject(told) ? (textAt(told, 'status', 'token') ?? '') : '';
}

/** A program whose readiness is known: as a kubelet sees it. */
export class ProbedProgram {
  readonly pod: PodLaunch;
  readonly #program: PodProgram;
  readonly #runtime: Runtime;
  readonly #onChange: () => void;
  #timer: Timer | undefined;
  #isReady = false;
  #sinceMs: number;
  #failures = 0;
  #ending: Promise<void> | undefined;

  constructor(
    pod: PodLaunch,
    program: PodProgram,
    shell: { readonly runtime: Runtime; readonly onChange: () => void },
  ) {
    this.pod = pod;
    this.#program = program;
    this.#runtime = shell.runtime;
    this.#onChange = shell.onChange;
    this.#sinceMs = shell.runtime.clock.wallMs();
    this.#arm();
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  /** When that last changed, by the wall clock. */
  get sinceMs(): number {
    return this.#sinceMs;
  }

  /** Idempotent; it is probed until it is gone, because a proxy is ready while it drains. */
  stop(): Promise<void> {
    this.#ending ??= this.#program.stop().finally(() => {
      this.#timer?.cancel();
      this.#timer = undefined;
    });
    return this.#ending;
  }

  #arm(): void {
    const restMs = this.#isReady ? periodMs : firstPeriodMs;
    this.#timer = this.#runtime.timers.after(restMs, () => void this.#probe());
  }

  async #probe(): Promise<void> {
    // Nobody who answers is not ready.
    const isReady = await this.#program.isReady().catch(() => false);
    this.#note(isReady);
    if (this.#timer !== undefined) this.#arm();
  }

  #note(isReady: boolean): void {
    this.#failures = isReady ? 0 : this.#failures + 1;
    if (isReady === this.#isReady || (!isReady && this.#failures < failuresMax)) return;
    this.#isReady = isReady;
    this.#sinceMs = this.#runtime.clock.wallMs();
    this.#onChange();
  }
}
