// What `weft check` says of each namespace whose policy is `enforce`: whether it binds everybody
// (*enforced*) or only who calls through the mesh (*advisory*). A warning, no failure: a mesh that
// is advisory works. Pure.
import { gapText, type Enforcement } from '../policy/enforcement.ts';
import { ok, warning, type Finding } from './finding.ts';

export function enforcementFindings(namespaces: readonly Enforcement[]): readonly Finding[] {
  if (namespaces.length === 0) return [ok('policy', 'no namespace with pods enforces policy')];
  return namespaces.map(({ namespace, gaps }) => {
    const [first] = gaps;
    if (first === undefined) {
      const how = 'if the network plugin applies NetworkPolicies';
      return ok('policy', `namespace ${namespace} is enforced, ${how}`);
    }
    const more = gaps.length > 1 ? ` and ${gaps.length - 1} more` : '';
    const message = `namespace ${namespace} is advisory: ${gapText(first)}${more}`;
    const command = `weft policy networkpolicies -n ${namespace}`;
    return warning('policy', message, `${command} prints what closes it`);
  });
}
