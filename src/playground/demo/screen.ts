// What the demo prints: progress while it starts, what to try, one live line of statistics. Texts
// only; no colour, so that it reads the same in a log.
import { adminPort, dnsPort, type NodePlace, type Places } from './places.ts';
import { shareOf, type DemoFacts } from './verdict.ts';

/** Where the demo writes to. */
export type Screen = {
  readonly write: (text: string) => void;
  /** The statistics overwrite themselves. */
  readonly isTerminal: boolean;
};

/** The first line, and what is different on this machine. */
export function welcome(places: Places): string {
  const what = 'weft demo: a mesh on this machine, without a cluster\n';
  if (!places.isAddressShared) return what;
  return (
    `${what}  This machine has one loopback address (macOS): one node, pods differ by port,\n` +
    '  and nobody is known by address, so what policy denies is shown, what it allows is not.\n' +
    '  Tunnels need two nodes, so there are none.\n'
  );
}

/** One line of progress with the time since the start. */
export function step(what: string, sinceMs: number): string {
  return `  ok ${what.padEnd(62)} ${(sinceMs / 1000).toFixed(2)} s\n`;
}

/** What there is to invite to. */
export type ReadyFacts = {
  readonly places: Places;
  readonly kubeconfig: string;
  readonly apiUrl: string;
  readonly elapsedMs: number;
  /** A pod of `front`, for curl to come from. */
  readonly callerAddress: string;
  /** Where port 80 of the mesh is served on the first node. */
  readonly meshPort: number;
};

function nodeLine(node: NodePlace): string {
  const { name, address } = node;
  const metrics = `http://${address}:${adminPort}/metrics`;
  return `  ${name}       proxy ${address}, metrics ${metrics}, DNS ${dnsPort}`;
}

/** URLs, the kubeconfig, and five things to try. */
export function invitation(facts: ReadyFacts): string {
  const proxy = facts.places.nodes[0]?.address ?? '127.0.0.1';
  const from = facts.places.isAddressShared ? '' : `--interface ${facts.callerAddress} `;
  return [
    '',
    `ready in ${(facts.elapsedMs / 1000).toFixed(2)} s`,
    `  API server   ${facts.apiUrl}`,
    `  kubeconfig   ${facts.kubeconfig}`,
    ...facts.places.nodes.map(nodeLine),
    '',
    'five things to try in another terminal:',
    `  export KUBECONFIG=${facts.kubeconfig}`,
    '  1  kubectl get ts,tt,htr,svc,pods -A',
    '     node dist/weft.js check --no-probe               # is every node well?',
    '  2  kubectl edit ts reviews -n shop                  # new weights, new shares below',
    `  3  curl ${from}-H 'Host: reviews.shop.mesh' http://${proxy}:${facts.meshPort}/`,
    '  4  kubectl delete tt cart-from-front -n checkout     # front is denied too',
    '     kubectl apply -f smi/examples/policy.yaml         # and let in again',
    `  5  curl http://${proxy}:${adminPort}/debug/config     # what this proxy routes by`,
    'Ctrl-C ends it and leaves nothing behind.',
    '',
  ].join('\n');
}

/** The live line: requests a second, and what was measured so far. */
export function statistics(facts: DemoFacts, perSecond: number): string {
  return `${`${Math.round(perSecond)} req/s`.padStart(10)} | ${measurements(facts)}`;
}

/** Shares at the pods against the weights, denials, failures. */
export function measurements(facts: DemoFacts): string {
  const shares = facts.shares.map((fact) => {
    const { wanted, measured } = shareOf(fact, facts.shares);
    const asked = (wanted * 100).toFixed(0);
    return `${fact.backend} ${(measured * 100).toFixed(1)} % (of ${asked})`;
  });
  const denied = facts.callers.reduce((sum, one) => sum + one.denied, 0);
  const failed = facts.callers.reduce((sum, one) => sum + one.failed, 0);
  return `at the pods: ${shares.join(', ')} | ${denied} denied | ${failed} failed`;
}
