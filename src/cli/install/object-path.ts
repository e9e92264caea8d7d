// Where an object of an installation lives on an API server: its path, from what it says of itself.
// Plurals are those of the kinds that an installation consists of; nothing is asked.
import type { ResourcePath } from '../../kube/index.ts';
import { textAt } from '../../lib/raw-object.ts';
import type { JsonMap } from './json.ts';

const irregular: ReadonlyMap<string, string> = new Map([
  ['NetworkPolicy', 'networkpolicies'],
  ['ValidatingAdmissionPolicy', 'validatingadmissionpolicies'],
  ['PriorityClass', 'priorityclasses'],
]);

export function pathOf(object: JsonMap): ResourcePath {
  const kind = textAt(object, 'kind') ?? '';
  const apiVersion = textAt(object, 'apiVersion') ?? '';
  const namespace = textAt(object, 'metadata', 'namespace') ?? '';
  const slash = apiVersion.indexOf('/');
  return {
    group: slash < 0 ? '' : apiVersion.slice(0, slash),
    version: apiVersion.slice(slash + 1),
    plural: irregular.get(kind) ?? `${kind.toLowerCase()}s`,
    name: textAt(object, 'metadata', 'name') ?? '',
    ...(namespace === '' ? {} : { namespace }),
  };
}
