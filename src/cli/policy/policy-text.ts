// How `weft policy networkpolicies` prints a plan: as YAML for `kubectl apply` with what there is
// to know in comments, as one JSON object that `kubectl apply` takes as well, or for people. Pure.
import { stringify } from 'yaml';
import { gapText } from './enforcement.ts';
import type { PolicyPlan } from './network-policies.ts';

const shownMax = 10;
const unseen =
  'They bind only where the network plugin applies NetworkPolicies; that cannot be seen from here.';

/** Something is in the way of the mesh, or leaves a way past it. */
export function isFinding({ existing }: PolicyPlan): boolean {
  return existing.some(({ effect }) => effect !== 'widened');
}

export function planJson(plan: PolicyPlan): string {
  const { namespace, policy, state, gaps, existing, manifests } = plan;
  // A List, so that it can be applied as it is.
  const list = { apiVersion: 'v1', kind: 'List', items: manifests };
  const told = { namespace, policy, state, gaps: gaps.map(gapText), existing };
  return `${JSON.stringify({ ...list, ...told }, null, 2)}\n`;
}

export function planYaml(plan: PolicyPlan): string {
  // One line each: what comes after a line break would be no comment.
  const about = summary(plan).map((line) => `# ${line.replace(/\s+/g, ' ')}\n`);
  return `${about.join('')}${plan.manifests.map((one) => `---\n${stringify(one)}`).join('')}`;
}

export function planTable(plan: PolicyPlan): string {
  const names = plan.manifests.map((one) => {
    const { metadata } = one as { readonly metadata?: { readonly name?: string } };
    return `prints    NetworkPolicy ${metadata?.name ?? ''}`;
  });
  return `${[...summary(plan), ...names].join('\n')}\n`;
}

function summary({ namespace, policy, state, gaps, existing }: PolicyPlan): readonly string[] {
  const shown = gaps.slice(0, shownMax).map((gap) => `gap       ${gapText(gap)}`);
  const more = gaps.length > shownMax ? [`gap       and ${gaps.length - shownMax} more`] : [];
  const found = existing.map(
    ({ policy, effect, message }) => `${effect.padEnd(8)}  NetworkPolicy ${policy}: ${message}`,
  );
  const title =
    policy === 'enforce'
      ? `namespace ${namespace}: policy is ${state} now`
      : `namespace ${namespace}: policy is ${policy}: the mesh itself refuses nobody yet`;
  return [title, ...shown, ...more, ...found, unseen];
}
