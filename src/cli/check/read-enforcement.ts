// Reads what `weft check` says of enforced and advisory namespaces. Whoever checks need not be
// allowed to read NetworkPolicies: then that is said, and all other findings stand.
import { kubeReason, type Connection } from '../../kube/index.ts';
import { enforcementOf } from '../policy/enforcement.ts';
import { readPolicyView } from '../policy/read-policy-view.ts';
import { enforcementFindings } from './enforcement-findings.ts';
import { warning, type Finding } from './finding.ts';

export async function readEnforcement(
  connection: Connection,
  meshNamespace: string,
): Promise<readonly Finding[]> {
  try {
    return enforcementFindings(enforcementOf(await readPolicyView(connection, meshNamespace)));
  } catch (error) {
    if (kubeReason(error) !== 'Forbidden') throw error;
    const message = 'NetworkPolicies may not be read: whether namespaces are enforced is not known';
    return [warning('policy', message, 'run it as somebody who may list them, pods and Services')];
  }
}
