// Another time for some of our pods: a module that Node loads before ours shifts `Date`. What the
// mesh itself reckons with – validity of what is issued, checks of a peer's certificate, renewal –
// goes by it; OpenSSL's own look at dates does not. Containers share their machine's clock, so
// nothing else can be shifted there.
import { kubectl } from './kubectl.ts';
import { meshNamespace, podsOf, proxySelector, rolledOut } from './cluster.ts';
import { until } from './until.ts';

function variable(seconds: number): string {
  const shift =
    `const D=Date,s=${seconds * 1_000};` +
    'globalThis.Date=class extends D{' +
    'constructor(...a){if(a.length)super(...a);else super(D.now()+s)}' +
    'static now(){return D.now()+s}};';
  return `NODE_OPTIONS=--import=data:text/javascript,${encodeURIComponent(shift)}`;
}

async function setEnv(what: string, assignment: string): Promise<void> {
  await kubectl(['-n', meshNamespace, 'set', 'env', what, assignment]);
}

/** Both controllers are so many seconds ahead (or behind) while `during` runs. */
export async function withSkewedControllers(
  seconds: number,
  during: () => Promise<void>,
): Promise<void> {
  const what = 'deployment/weft-controller';
  await setEnv(what, variable(seconds));
  try {
    await rolledOut(meshNamespace, what);
    await during();
  } finally {
    await setEnv(what, 'NODE_OPTIONS-');
    await rolledOut(meshNamespace, what);
  }
}

/** The proxy of one node is so many seconds ahead (or behind) while `during` runs. */
export async function withSkewedProxy(
  node: string,
  seconds: number,
  during: () => Promise<void>,
): Promise<void> {
  const what = 'daemonset/weft-proxy';
  // Pods are replaced when they are deleted, and no others.
  await setStrategy({ type: 'OnDelete', rollingUpdate: null });
  try {
    await setEnv(what, variable(seconds));
    await replaceProxy(node);
    await during();
  } finally {
    await setEnv(what, 'NODE_OPTIONS-');
    await replaceProxy(node);
    const rollingUpdate = { maxSurge: '10%', maxUnavailable: 0 };
    await setStrategy({ type: 'RollingUpdate', rollingUpdate });
  }
}

async function setStrategy(updateStrategy: object): Promise<void> {
  const patch = JSON.stringify({ spec: { updateStrategy } });
  const args = ['patch', 'daemonset', 'weft-proxy', '--type=merge', '-p', patch];
  await kubectl(['-n', meshNamespace, ...args]);
}

async function replaceProxy(node: string): Promise<void> {
  const pods = await podsOf(meshNamespace, proxySelector);
  const old = pods.find((pod) => pod.spec.nodeName === node);
  if (old === undefined) throw new Error(`no proxy on ${node}`);
  const named = ['delete', 'pod', old.metadata.name, '--timeout=60s'];
  await kubectl(['-n', meshNamespace, ...named], { timeoutMs: 70_000 });
  await until(`a new proxy on ${node}`, async () => {
    const now = await podsOf(meshNamespace, proxySelector);
    const fresh = now.filter((pod) => pod.spec.nodeName === node);
    const [only] = fresh;
    if (fresh.length !== 1 || only?.metadata.uid === old.metadata.uid) return undefined;
    const ready = only?.status.conditions?.find(({ type }) => type === 'Ready');
    return ready?.status === 'True' ? true : undefined;
  });
}
