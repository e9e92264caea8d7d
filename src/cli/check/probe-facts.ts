// What the probe's callers said, and what it means. Pure. A call by address shows whether the
// cluster's network keeps the addresses of pods, on which authorisation without certificates rests;
// a call by mesh name shows the whole way from DNS over the proxy to a pod.
import { failed, ok, warning, type Finding } from './finding.ts';

/** One line of src/main/probe.ts. */
export type Said = {
  readonly url: string;
  readonly tookMs: number;
  readonly status?: number;
  readonly reason?: string;
  readonly body?: string;
  readonly error?: string;
};

export type ProbeFacts = {
  readonly nodes: readonly string[];
  /** Node → what its caller said; none when its pods did not run. */
  readonly said: ReadonlyMap<string, readonly Said[]>;
  /** Node → addresses of pods that ran there as callers. */
  readonly callers: ReadonlyMap<string, string>;
  readonly asksMesh: boolean;
};

export function probeFindings(facts: ProbeFacts): readonly Finding[] {
  const silent = facts.nodes.filter((node) => !facts.said.has(node));
  const findings: Finding[] = silent.map((node) =>
    warning(
      'probe',
      `the pods of the probe did not run on ${node}, so nothing was measured there`,
      'kubectl describe node shows why; --image names the image of the probe',
    ),
  );
  findings.push(...directFindings(facts));
  if (facts.asksMesh) findings.push(...meshFindingsOf(facts));
  return findings;
}

function directFindings({ said, callers }: ProbeFacts): readonly Finding[] {
  const broken: Finding[] = [];
  for (const [node, lines] of said) {
    const direct = lines.find(({ url }) => url.endsWith('/direct'));
    const why =
      direct === undefined ? 'no call was made' : changedAddress(direct, callers.get(node));
    if (why === undefined) continue;
    broken.push(
      failed(
        'source-address',
        `on ${node} a pod is not known by its own address: ${why}`,
        'turn off masquerading between pods of a node in the CNI',
      ),
    );
  }
  if (broken.length > 0 || said.size === 0) return broken;
  return [ok('source-address', `pods keep their address on ${said.size} nodes (measured)`)];
}

function changedAddress(direct: Said, own: string | undefined): string | undefined {
  if (direct.status !== 200) return whyFailed(direct);
  const seen = /"seen":"(?:::ffff:)?([^"]*)"/.exec(direct.body ?? '')?.[1];
  return seen === own ? undefined : `it calls from ${own ?? '?'} and is seen as ${seen ?? '?'}`;
}

function meshFindingsOf({ said }: ProbeFacts): readonly Finding[] {
  const broken: Finding[] = [];
  let slowestMs = 0;
  for (const [node, lines] of said) {
    const mesh = lines.find(({ url }) => url.endsWith('/mesh'));
    if (mesh?.status === 200) {
      slowestMs = Math.max(slowestMs, mesh.tookMs);
      continue;
    }
    const why = mesh === undefined ? 'no call was made' : whyFailed(mesh);
    broken.push(failed('mesh-call', `a call by mesh name fails on ${node}: ${why}`, fixOf(mesh)));
  }
  if (broken.length > 0 || said.size === 0) return broken;
  const message = `DNS, proxy and pod answer on ${said.size} nodes, in ${slowestMs} ms at most`;
  return [ok('mesh-call', message)];
}

function whyFailed({ status, reason, error }: Said): string {
  if (error !== undefined) return error;
  return `${status ?? 0} ${reason ?? ''}`.trim();
}

function fixOf(said: Said | undefined): string {
  if (said?.error?.includes('ENOTFOUND') === true || said?.error?.includes('EAI_AGAIN') === true) {
    return 'the DNS of the cluster does not forward the mesh domain yet: see dns above';
  }
  if (said?.reason === 'SourceUnknown' || said?.reason === 'SourceNotAllowed') {
    return 'the default policy is enforce: this only shows that it holds';
  }
  return 'see the log of the proxy of that node';
}
