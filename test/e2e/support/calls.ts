// Calls and load from inside pods, through `kubectl exec`: the suite itself has no place in the
// cluster's network. The programs are in test/e2e/programs.
import { ended, kubectl, startKubectl } from './kubectl.ts';

/** A Deployment by its name, or `pod/NAME`. */
export type From = { readonly namespace: string; readonly client: string };

export type Call = {
  readonly url: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly timeoutMs?: number;
  readonly times?: number;
};

export type Answer = {
  readonly status: number;
  readonly reason: string;
  readonly body: string;
  readonly error: string;
};

function placeOf({ namespace, client }: From): readonly string[] {
  return ['-n', namespace, client.includes('/') ? client : `deploy/${client}`];
}

export async function call(from: From, calls: readonly Call[]): Promise<readonly Answer[]> {
  const command = ['node', '/programs/call.ts', JSON.stringify(calls)];
  const told = await kubectl(['exec', ...placeOf(from), '--', ...command], {
    timeoutMs: 120_000,
  });
  // Written by programs/call.ts.
  return JSON.parse(told) as readonly Answer[];
}

export async function get(from: From, url: string): Promise<Answer> {
  const [answer] = await call(from, [{ url }]);
  if (answer === undefined) throw new Error(`no answer from ${url}`);
  return answer;
}

/** Status, or what went wrong; short enough for an assertion. */
export function outcome({ status, reason, error }: Answer): string {
  return status === 0 ? error : `${status}${reason === '' ? '' : ` ${reason}`}`;
}

export type LoadPlan = {
  readonly urls: readonly string[];
  readonly perSecond: number;
  /** It ends by itself after that; most tests end it before. */
  readonly seconds?: number;
  /** All requests go over one connection, which is opened at the start. */
  readonly holdsOne?: boolean;
};

export type LoadFailure = {
  readonly atMs: number;
  readonly startedMs: number;
  readonly url: string;
  readonly how: string;
  readonly why: string;
};

export type LoadResult = {
  readonly sent: number;
  readonly answered: number;
  readonly failed: number;
  /** How many connections were kept for more than one request, ever. */
  readonly keptConnections: number;
  readonly failures: readonly LoadFailure[];
  readonly durationsMs: { readonly p50: number; readonly p99: number; readonly max: number };
  /** Unix second → version that answered → how often. */
  readonly versions: Readonly<Record<string, Readonly<Record<string, number>>>>;
};

export type Load = { readonly stop: () => Promise<LoadResult> };

/** Resolves when the first request is about to be sent. */
export async function startLoad(from: From, plan: LoadPlan): Promise<Load> {
  const seconds = plan.seconds ?? 300;
  const command = ['node', '/programs/load.ts', JSON.stringify({ ...plan, seconds })];
  const child = startKubectl(['exec', '-i', ...placeOf(from), '--', ...command]);
  const what = `load from ${from.namespace}/${from.client}`;
  const end = ended(child, what, { timeoutMs: (seconds + 30) * 1_000 });
  const started = new Promise<void>((resolve) => {
    child.stderr?.on('data', (text: string) => {
      if (text.includes('started')) resolve();
    });
  });
  const early = end.then(({ status, stderr }) => {
    throw new Error(`${what} ended with ${status} before it began: ${stderr}`);
  });
  // Once it has begun, its end is looked at by `stop` alone.
  early.catch(() => undefined);
  await Promise.race([started, early]);
  return {
    stop: async () => {
      child.stdin?.end();
      const { status, stdout, stderr } = await end;
      if (status !== 0) throw new Error(`${what} ended with ${status}: ${stderr}`);
      // Written by programs/load.ts.
      return JSON.parse(stdout) as LoadResult;
    },
  };
}

/** One line per kind of failure, for an assertion that says what happened. */
export function failuresOf({ failures }: LoadResult): readonly string[] {
  const counts = new Map<string, number>();
  for (const { how, why } of failures) {
    counts.set(`${how}: ${why}`, (counts.get(`${how}: ${why}`) ?? 0) + 1);
  }
  return [...counts].map(([text, count]) => `${text} × ${count}`);
}
